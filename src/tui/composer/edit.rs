//! The table of edit commands: what keys do to text, by name, so that a keymap can bind them.

use std::fmt;
use std::str::FromStr;

macro_rules! edits {
    ($($variant:ident $id:literal $what:literal;)*) => {
        /// A command of the composer, and of lines that are typed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Edit { $(#[doc = $what] $variant),* }

        impl Edit {
            /// Every command with its name in keymaps and what help says of it.
            pub const ALL: &[(Edit, &str, &str)] = &[$((Edit::$variant, $id, $what)),*];
        }
    };
}

edits! {
    // Motions
    Left "edit-left" "Go left (count)";
    Right "edit-right" "Go right (count)";
    Up "edit-up" "Go up (count)";
    Down "edit-down" "Go down (count)";
    WordForward "edit-word-forward" "Go to the next word (count)";
    WordBack "edit-word-back" "Go to the word before (count)";
    WordEnd "edit-word-end" "Go to the end of the word (count)";
    BigWordForward "edit-big-word-forward" "Go to the next word between spaces (count)";
    BigWordBack "edit-big-word-back" "Go to the word between spaces before (count)";
    BigWordEnd "edit-big-word-end" "Go to the end of the word between spaces (count)";
    LineStart "edit-line-start" "Go to the start of the line";
    FirstNonBlank "edit-first-non-blank" "Go to the first letter of the line";
    LineEnd "edit-line-end" "Go to the end of the line";
    Top "edit-top" "Go to the first line, or to line number (count)";
    Bottom "edit-bottom" "Go to the last line, or to line number (count)";
    ParagraphForward "edit-paragraph-forward" "Go to the next empty line (count)";
    ParagraphBack "edit-paragraph-back" "Go to the empty line before (count)";
    FindForward "edit-find-forward" "Go to the next character that you type (count)";
    FindBack "edit-find-back" "Go back to the character that you type (count)";
    TillForward "edit-till-forward" "Go before the next character that you type (count)";
    TillBack "edit-till-back" "Go back behind the character that you type (count)";
    FindAgain "edit-find-again" "Go to that character again (count)";
    FindReverse "edit-find-reverse" "Go to that character again, the other way (count)";

    // Operators and what they act on
    Delete "edit-delete" "Delete what the next motion covers; twice, the line";
    Change "edit-change" "Change what the next motion covers; twice, the line";
    Yank "edit-yank" "Copy what the next motion covers; twice, the line";
    Inner "edit-inner" "Inside of the word, quotes or brackets that you type";
    Around "edit-around" "All of the word, quotes or brackets that you type";
    OperatorCancel "edit-cancel" "Back to NORMAL";

    // Single acts
    DeleteChar "edit-delete-char" "Delete the character under the cursor (count)";
    DeleteCharBack "edit-delete-char-back" "Delete the character before the cursor (count)";
    DeleteToEnd "edit-delete-to-end" "Delete to the end of the line";
    ChangeToEnd "edit-change-to-end" "Change to the end of the line";
    Substitute "edit-substitute" "Change the character under the cursor (count)";
    SubstituteLine "edit-substitute-line" "Change the line (count)";
    YankLine "edit-yank-line" "Copy the line (count)";
    PutAfter "edit-put-after" "Put what was deleted or copied behind the cursor (count)";
    PutBefore "edit-put-before" "Put what was deleted or copied before the cursor (count)";
    Replace "edit-replace" "Replace the character by the one that you type (count)";
    ToggleCase "edit-toggle-case" "Swap capital and small letters (count)";
    Join "edit-join" "Join this line with the next (count)";
    Undo "edit-undo" "Undo an edit of the text (count)";
    Redo "edit-redo" "Redo an edit of the text (count)";
    Repeat "edit-repeat" "Repeat the last change";
    Visual "edit-visual" "Select characters";
    VisualLine "edit-visual-line" "Select lines";
    SwapEnds "edit-swap-ends" "Go to the other end of the selection";

    // Ways into INSERT
    Insert "edit-insert" "Write before the cursor";
    InsertLineStart "edit-insert-line-start" "Write at the start of the line";
    Append "edit-append" "Write behind the cursor";
    AppendLineEnd "edit-append-line-end" "Write at the end of the line";
    OpenBelow "edit-open-below" "Write on a new line below";
    OpenAbove "edit-open-above" "Write on a new line above";

    // While typing
    Backspace "edit-backspace" "Delete the character before";
    DeleteForward "edit-delete-forward" "Delete the character behind";
    DeleteWordBack "edit-delete-word-back" "Delete the word before";
    DeleteWordForward "edit-delete-word-forward" "Delete the word behind";
    DeleteToStart "edit-delete-to-start" "Delete to the start of the line";
    UpOrHistory "edit-up-or-history" "Go up; on the first line, the message sent before";
    DownOrHistory "edit-down-or-history" "Go down; on the last line, the message sent after";
    SelectLeft "edit-select-left" "Select to the left";
    SelectRight "edit-select-right" "Select to the right";
    SelectUp "edit-select-up" "Select up";
    SelectDown "edit-select-down" "Select down";
    SelectWordBack "edit-select-word-back" "Select to the word before";
    SelectWordForward "edit-select-word-forward" "Select to the next word";
    SelectLineStart "edit-select-line-start" "Select to the start of the line";
    SelectLineEnd "edit-select-line-end" "Select to the end of the line";
    SelectAll "edit-select-all" "Select everything";
    Cut "edit-cut" "Cut what is selected";
    CopySelection "edit-copy" "Copy what is selected";
    Paste "edit-paste" "Put what was cut or copied here";
}

impl Edit {
    /// Its name in keymaps.
    #[must_use]
    pub fn id(self) -> &'static str {
        Self::ALL.iter().find(|(edit, ..)| *edit == self).map_or("", |(_, id, _)| id)
    }

    /// What help says of it.
    #[must_use]
    pub fn what(self) -> &'static str {
        Self::ALL.iter().find(|(edit, ..)| *edit == self).map_or("", |(.., what)| what)
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Edit {
    type Err = ();
    fn from_str(id: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(_, name, _)| *name == id).map(|(edit, ..)| *edit).ok_or(())
    }
}
