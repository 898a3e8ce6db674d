//! Colour, and when there is none.

use std::io::IsTerminal;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ColorChoice {
    /// Where the output is a terminal and `NO_COLOR` is not set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl ColorChoice {
    /// The style of what is written to this stream.
    pub(crate) fn style_for(self, stream: &impl IsTerminal) -> Style {
        let color = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => stream.is_terminal() && !is_refused(),
        };
        Style { color }
    }
}

/// Whether the environment asks for no colour: `NO_COLOR` with any content, or a terminal that has none.
fn is_refused() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    no_color || std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

/// Marks text with colour, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    color: bool,
}

impl Style {
    /// No colour.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { color: false }
    }

    /// Whether there is colour.
    pub(crate) fn is_colored(self) -> bool {
        self.color
    }

    pub(crate) fn error(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn hint(self, text: &str) -> String {
        self.paint("1;36", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("90", text)
    }

    pub(crate) fn keyword(self, text: &str) -> String {
        self.paint("1;34", text)
    }

    pub(crate) fn string(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn number(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }
}
