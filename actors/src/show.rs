//! What people see: lines on stdout, and bars on stderr where that is a terminal.

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Steps of a bar: a tenth of a percent each.
const STEPS: u64 = 1_000;
/// How often a bar moves by itself.
const BEAT: Duration = Duration::from_millis(120);

/// Where lines and bars go. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Show {
    bars: Option<MultiProgress>,
}

/// A bar, or nothing where there is no terminal.
#[derive(Debug)]
pub(crate) struct Work(Option<ProgressBar>);

impl Show {
    /// Bars on a terminal, plain lines otherwise.
    pub(crate) fn new() -> Show {
        Show { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// A line.
    pub(crate) fn line(&self, text: impl Display) {
        let write = || {
            // Whoever closed the pipe does not want to read any more, which is no failure of ours.
            drop(writeln!(std::io::stdout(), "{text}"));
        };
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }

    /// The heading of a part.
    pub(crate) fn title(&self, text: impl Display) {
        self.line(format!("\n-- {text}"));
    }

    /// A bar for work of unknown length; on a plain output one line.
    pub(crate) fn spinner(&self, text: &str) -> Work {
        self.work(text, "  {spinner} {msg} ({elapsed})", None)
    }

    /// A bar for work whose share is known; on a plain output nothing, because its end will be told.
    pub(crate) fn bar(&self, text: &str) -> Work {
        self.work(text, "  {msg} [{bar:30}] {percent}% ({elapsed})", Some(STEPS))
    }

    fn work(&self, text: &str, template: &str, length: Option<u64>) -> Work {
        let Some(bars) = &self.bars else {
            if length.is_none() {
                self.line(format!("  {text} ..."));
            }
            return Work(None);
        };
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let style = ProgressStyle::with_template(template).expect("the templates above parse");
        bar.set_style(style.progress_chars("=> "));
        let bar = bars.add(bar);
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(BEAT);
        Work(Some(bar))
    }
}

impl Work {
    /// Changes the text.
    pub(crate) fn say(&self, text: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(text.to_owned());
        }
    }

    /// Says how much is done, 0 to 1.
    pub(crate) fn share(&self, done: f32) {
        if let Some(bar) = &self.0 {
            // Truncation is meant: a bar need not be exact.
            bar.set_position((f64::from(done.clamp(0.0, 1.0)) * 1_000.0) as u64);
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

/// An amount of the smallest unit as a decimal number, without needless zeros.
pub(crate) fn decimal(amount: u128, decimals: u8) -> String {
    let unit = 10u128.pow(u32::from(decimals));
    let whole = group(&(amount / unit).to_string());
    let rest = amount % unit;
    if rest == 0 {
        return whole;
    }
    let digits = format!("{rest:0width$}", width = usize::from(decimals));
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

/// Digits in groups of three.
pub(crate) fn group(digits: &str) -> String {
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes as 0x-hex.
pub(crate) fn hex0x(bytes: impl AsRef<[u8]>) -> String {
    format!("0x{}", hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_shown_without_needless_zeros() {
        assert_eq!(decimal(0, 18), "0");
        assert_eq!(decimal(1_500_000, 6), "1.5");
        assert_eq!(decimal(1, 6), "0.000001");
        assert_eq!(decimal(1_234_567_000_000, 6), "1,234,567");
    }
}
