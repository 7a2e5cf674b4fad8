//! The roles that text and lines on the screen can have. A theme gives each a style; nothing else on the screen knows a colour.

macro_rules! roles {
    ($($(#[$doc:meta])* $role:ident = $name:literal,)*) => {
        /// What a piece of the screen is, so that a theme can say how it looks.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Role { $($(#[$doc])* $role,)* }

        impl Role {
            /// Every role, in the order of their numbers.
            pub const ALL: &'static [Role] = &[$(Role::$role,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name in a theme's file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Role::$role => $name,)* }
            }

            /// The role of that name.
            #[must_use]
            pub fn named(name: &str) -> Option<Role> {
                match name { $($name => Some(Role::$role),)* _ => None }
            }
        }
    };
}

roles! {
    /// Ordinary text. On the terminal's own background, and by default in its own colour.
    Text = "text",
    /// What need not be noticed: times, figures, hints, everything that is not focused.
    Quiet = "quiet",
    /// The one colour that draws the eye.
    Accent = "accent",
    /// Title of a pane in its rule.
    Title = "title",
    TitleFocused = "title_focused",
    /// Rules between panes.
    Rule = "rule",
    RuleFocused = "rule_focused",
    /// The row under the cursor, in the focused pane.
    Selection = "selection",
    /// The row under the cursor where the pane is not focused.
    SelectionQuiet = "selection_quiet",
    /// Rows that are marked, and the text of a visual selection.
    Marked = "marked",
    Error = "error",
    Warning = "warning",
    /// Loaded, done, up.
    Ok = "ok",
    /// Something goes on: `▸`, progress.
    Running = "running",
    /// An answer that nobody saw: `•`.
    Unread = "unread",
    Favourite = "favourite",
    /// Headers of messages.
    User = "user",
    Assistant = "assistant",
    System = "system",
    Tool = "tool",
    /// A model's thinking.
    Thinking = "thinking",
    /// The block at the end of what is being written.
    Cursor = "cursor",
    Heading = "heading",
    Strong = "strong",
    Emphasis = "emphasis",
    Strike = "strike",
    Link = "link",
    /// The target of a link, after its text.
    LinkTarget = "link_target",
    Quote = "quote",
    /// The bar before a quotation.
    QuoteBar = "quote_bar",
    /// Bullets, numbers and tick boxes.
    Bullet = "bullet",
    TableRule = "table_rule",
    TableHead = "table_head",
    Math = "math",
    /// A thematic break.
    Break = "break",
    CodeInline = "code.inline",
    /// Code that is nothing in particular.
    CodeText = "code.text",
    /// The frame around a block of code, and the language in it.
    CodeFrame = "code.frame",
    /// The letter that names a block of code.
    CodeLabel = "code.label",
    CodeComment = "code.comment",
    CodeString = "code.string",
    CodeNumber = "code.number",
    CodeConstant = "code.constant",
    CodeKeyword = "code.keyword",
    CodeOperator = "code.operator",
    CodeFunction = "code.function",
    CodeType = "code.type",
    CodeVariable = "code.variable",
    CodeTag = "code.tag",
    CodeAttribute = "code.attribute",
    CodePunctuation = "code.punctuation",
    CodeInserted = "code.inserted",
    CodeDeleted = "code.deleted",
    /// The mark where a line of code goes on.
    CodeWrap = "code.wrap",
    ModeNormal = "mode.normal",
    ModeInsert = "mode.insert",
    ModeVisual = "mode.visual",
    ModeCommand = "mode.command",
    ModeSearch = "mode.search",
    /// Something found.
    SearchHit = "search.hit",
    /// The hit under the cursor.
    SearchCurrent = "search.current",
    Sparkline = "sparkline",
    /// The filled part of a gauge or a progress bar.
    Gauge = "gauge",
    /// The empty part.
    GaugeEmpty = "gauge_empty",
    Badge = "badge",
    /// A key in a hint.
    Key = "key",
    /// What that key does.
    Hint = "hint",
    Status = "status",
    /// Frame of an overlay.
    Overlay = "overlay",
    /// What stands in an empty field.
    Placeholder = "placeholder",
    /// Where something is still to come.
    Skeleton = "skeleton",
}
