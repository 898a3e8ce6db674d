//! Runs scripts: statement after statement and backslash commands between them, up to the first that fails.

use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use datafusion_cli::print_options::MaxRows;
use posixlake_sql::Parsed;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::commands;
use super::diagnostics::{self, Source};
use super::exit::ExitCode;
use super::rows::RowWriter;
use super::settings::Settings;
use super::statement::{self, Outcome, Summary};
use super::style::Style;
use super::tokens;
use crate::error::{Error, ErrorKind};
use crate::session::Session;

/// How deep `\i` may go: a file that includes itself ends here.
const MAXIMUM_DEPTH: usize = 32;

/// The stack of a thread that plans and runs statements: plans can be deep. Only what is used takes memory.
const STACK_SIZE: usize = 16 << 20;

/// Two runtimes: a statement can keep every worker busy, and Ctrl-C and progress must not wait for that.
pub(crate) struct Runtimes {
    /// Where statements run.
    pub(crate) workers: Runtime,
    /// Where the main thread waits for them.
    front: Runtime,
}

impl Runtimes {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn start() -> std::io::Result<Self> {
        let mut workers = Builder::new_multi_thread();
        workers
            .enable_all()
            .thread_name("posixlake")
            .thread_stack_size(STACK_SIZE);
        Ok(Self {
            workers: workers.build()?,
            front: Builder::new_current_thread().enable_all().build()?,
        })
    }
}

/// A session with a way to show results. Whatever fails is reported before it is returned.
pub(crate) struct Shell {
    pub(crate) session: Session,
    pub(crate) runtimes: Runtimes,
    pub(crate) settings: Settings,
    /// How standard error is written.
    pub(crate) style: Style,
    signal: Option<Signal>,
    /// Whether a statement runs, which then sees Ctrl-C itself.
    busy: Arc<AtomicBool>,
    depth: usize,
}

impl Shell {
    pub(crate) fn new(session: Session, runtimes: Runtimes, settings: Settings, style: Style) -> Self {
        Self {
            session,
            runtimes,
            settings,
            style,
            signal: None,
            busy: Arc::default(),
            depth: 0,
        }
    }

    /// From now on, Ctrl-C between statements ends the process: a script that waits for its input can be stopped too.
    pub(crate) fn exit_on_interrupt(&self) {
        let busy = Arc::clone(&self.busy);
        self.runtimes.workers.spawn(async move {
            let Ok(mut interrupts) = signal(SignalKind::interrupt()) else {
                return;
            };
            while interrupts.recv().await.is_some() {
                if !busy.load(Ordering::SeqCst) {
                    std::process::exit(ExitCode::Interrupted.number().into());
                }
            }
        });
    }

    /// Forgets every Ctrl-C so far. Without this, one that came between two statements stops the next.
    pub(crate) fn forget_interrupts(&mut self) {
        self.signal = None;
    }

    /// Runs a file.
    ///
    /// # Errors
    /// The code of the first failure.
    pub(crate) fn run_file(&mut self, path: &Path) -> Result<(), ExitCode> {
        let name = path.display().to_string();
        match std::fs::File::open(path) {
            Ok(file) => self.run_script(&mut std::io::BufReader::new(file), Some(name)),
            Err(error) => Err(self.report(&unreadable(&name, error), None)),
        }
    }

    /// Runs what a reader yields, each statement as soon as its semicolon is there.
    ///
    /// # Errors
    /// The code of the first failure.
    pub(crate) fn run_script(&mut self, reader: &mut dyn BufRead, name: Option<String>) -> Result<(), ExitCode> {
        if self.depth >= MAXIMUM_DEPTH {
            let message = format!("files include each other more than {MAXIMUM_DEPTH} deep; does one include itself?");
            return Err(self.report(&Error::invalid(message), None));
        }
        self.depth += 1;
        let result = self.run_lines(reader, name);
        self.depth -= 1;
        result
    }

    fn run_lines(&mut self, reader: &mut dyn BufRead, name: Option<String>) -> Result<(), ExitCode> {
        let mut source = Source {
            name,
            ..Source::default()
        };
        let mut line = String::new();
        let mut lines_read = 0;
        loop {
            line.clear();
            match reader.read_line(&mut line) {
                Ok(0) => break,
                Ok(_) => lines_read += 1,
                Err(error) => {
                    let name = source.name.as_deref().unwrap_or("standard input");
                    return Err(self.report(&unreadable(name, error), None));
                }
            }
            if lines_read == 1 && line.starts_with("#!") {
                source.lines_before = 1;
                continue;
            }
            if let Some(command) = line.trim().strip_prefix('\\')
                && tokens::is_blank(&source.text)
            {
                source.text.clear();
                source.lines_before = lines_read;
                match commands::run(self, command)? {
                    commands::Next::Go => continue,
                    commands::Next::Quit => return Ok(()),
                }
            }
            source.text.push_str(&line);
            // A look at the whole text is only worth it where a statement can have ended.
            if line.contains(';') && tokens::ends_statement(&source.text) {
                self.run_text(&source)?;
                source.text.clear();
                source.lines_before = lines_read;
            }
        }
        self.run_text(&source)
    }

    /// Runs all statements of a text; none where the text is not understood to its end.
    ///
    /// # Errors
    /// The code of the first failure.
    pub(crate) fn run_text(&mut self, source: &Source) -> Result<(), ExitCode> {
        let statements = match posixlake_sql::parse(&source.text) {
            Ok(statements) => statements,
            Err(error) => return Err(self.report(&error.into(), Some(source))),
        };
        statements
            .iter()
            .try_for_each(|statement| self.run_statement(statement, source))
    }

    /// Runs a statement of a backslash command.
    ///
    /// # Errors
    /// The code of the failure, and where the text does not hold exactly one statement.
    pub(crate) fn run_single(&mut self, text: String) -> Result<(), ExitCode> {
        let source = Source::of(text);
        match posixlake_sql::parse(&source.text).as_deref() {
            Ok([statement]) => self.run_statement(statement, &source),
            Ok(_) => Err(self.report(&Error::invalid("one name is needed"), None)),
            Err(error) => Err(self.report(&error.clone().into(), None)),
        }
    }

    fn run_statement(&mut self, statement: &Parsed, source: &Source) -> Result<(), ExitCode> {
        let outcome = match self.listen() {
            Ok(mut interrupts) => {
                let run = statement::run(
                    &self.session,
                    self.runtimes.workers.handle(),
                    statement,
                    &self.settings,
                    &mut interrupts,
                );
                self.busy.store(true, Ordering::SeqCst);
                let outcome = self.runtimes.front.block_on(run);
                self.busy.store(false, Ordering::SeqCst);
                self.signal = Some(interrupts);
                outcome
            }
            Err(error) => Outcome::Failed(Error::internal(format!("cannot listen for Ctrl-C: {error}"))),
        };
        match outcome {
            Outcome::Finished(summary) => {
                self.say(&status(&summary));
                Ok(())
            }
            Outcome::Failed(error) => Err(self.report(&error, Some(source))),
            Outcome::Cancelled => {
                self.say_always(if is_query(statement) {
                    "cancelled"
                } else {
                    "cancelled; a change that was already being committed stands, and is in DESCRIBE HISTORY"
                });
                Err(ExitCode::Interrupted)
            }
            Outcome::BrokenPipe => Err(ExitCode::BrokenPipe),
        }
    }

    /// The listener for Ctrl-C, which holds one that came since it was last asked.
    fn listen(&mut self) -> std::io::Result<Signal> {
        if let Some(signal) = self.signal.take() {
            return Ok(signal);
        }
        let _runtime = self.runtimes.front.enter();
        signal(SignalKind::interrupt())
    }

    /// Prints rows that no statement yielded.
    ///
    /// # Errors
    /// The code of the failure.
    pub(crate) fn print_rows(&mut self, batch: &RecordBatch) -> Result<(), ExitCode> {
        let format = self.session.context().copied_config().options().format.clone();
        let mut writer = RowWriter::new(self.settings.format, MaxRows::Unlimited, batch.schema(), &format, false);
        let text = writer.push(batch).and_then(|mut text| {
            text.extend(writer.finish()?);
            Ok(text)
        });
        match text {
            Ok(text) => self.print(&text),
            Err(error) => Err(self.report(&error, None)),
        }
    }

    /// Prints an answer on standard output.
    ///
    /// # Errors
    /// The code of the failure.
    pub(crate) fn print(&mut self, text: &[u8]) -> Result<(), ExitCode> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(ExitCode::BrokenPipe),
            Err(_) => Err(ExitCode::Storage),
        }
    }

    /// Says on standard error what is no error, unless nobody wants it.
    pub(crate) fn say(&self, text: &str) {
        if !self.settings.quiet {
            self.say_always(text);
        }
    }

    fn say_always(&self, text: &str) {
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// Reports an error and returns the code for its kind.
    pub(crate) fn report(&self, error: &Error, source: Option<&Source>) -> ExitCode {
        let _ = write!(std::io::stderr(), "{}", diagnostics::render(error, source, self.style));
        error.kind().into()
    }
}

fn unreadable(name: &str, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Permission,
        std::io::ErrorKind::InvalidData => ErrorKind::Invalid,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, format!("cannot read {name}: {error}")).with_source(error)
}

/// The line behind a statement's rows.
fn status(summary: &Summary) -> String {
    let seconds = summary.elapsed.as_secs_f64();
    let Some(rows) = summary.rows else {
        return format!("done in {seconds:.3} s");
    };
    let count = format!("{rows} {}", if rows == 1 { "row" } else { "rows" });
    match summary.shown {
        Some(shown) => format!("{count} in {seconds:.3} s (the first {shown} are shown; --maxrows shows more)"),
        None => format!("{count} in {seconds:.3} s"),
    }
}

/// Whether the statement certainly changes nothing.
fn is_query(parsed: &Parsed) -> bool {
    use datafusion::sql::parser::Statement as Native;
    use datafusion::sql::sqlparser::ast::Statement as Sql;
    use posixlake_sql::Statement as S;
    match &parsed.statement {
        S::Native(native) => match native.as_ref() {
            Native::Statement(statement) => matches!(statement.as_ref(), Sql::Query(_)),
            _ => false,
        },
        S::Explain(explain) => !explain.analyze,
        S::DescribeHistory(_) | S::DescribeDetail(_) | S::ShowProperties(_) | S::ShowPartitions(_) => true,
        S::ShowCreateTable(_) | S::ShowProcedures | S::ShowSecrets => true,
        _ => false,
    }
}
