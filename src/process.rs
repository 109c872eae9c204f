//! The process: parses the command line, runs the command, and returns its exit code.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::cli::{self, Cli, Command, ScenarioCommand};
use crate::clock;
use crate::commands::completions::UserFolders;
use crate::commands::{self, Context};
use crate::console::{ColorMode, Console, ProgressMode};
use crate::descriptors;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::LogSink;
use crate::local_broker::{BrokerTarget, Starter};
use crate::output::OutputFile;
use crate::settings::{self, Environment};
use crate::shutdown::{OnHangUp, Shutdown, Signal};
use color_eyre::config::Theme;
use color_eyre::eyre::{self, WrapErr};

#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let program = arguments.first().cloned().unwrap_or_default();
    // No escape sequences: as in other programs, a terminal without a name has none either.
    let is_dumb = variable("TERM").is_none_or(|name| name == "dumb");
    let no_color = variable("NO_COLOR").is_some();
    let parsed = match cli::parse(arguments, no_color) {
        Ok(parsed) => parsed,
        Err(instead) => return tell(&instead),
    };
    let console = console(&parsed.global, no_color, is_dumb);
    match start(&parsed, &program, console) {
        Ok(code) => ExitCode::from(code.number()),
        Err(report) => {
            crate::console::fatal_error(&format!("{report:?}"));
            ExitCode::from(Code::Unexpected.number())
        }
    }
}

/// Prints the help, the version or the command-line error.
fn tell(instead: &clap::Error) -> ExitCode {
    let code = u8::try_from(instead.exit_code()).unwrap_or(Code::Usage.number());
    match instead.print() {
        // A closed reader is not an error.
        Err(error) if !instead.use_stderr() && error.kind() != std::io::ErrorKind::BrokenPipe => {
            crate::console::fatal_error(&format!("stdout cannot be written: {error}"));
            ExitCode::from(Code::Output.number())
        }
        _ => ExitCode::from(code),
    }
}

fn console(global: &cli::Global, no_color: bool, is_dumb: bool) -> Console {
    let color = match global.color {
        cli::Color::Always => ColorMode::Always,
        cli::Color::Never => ColorMode::Never,
        cli::Color::Auto if no_color || is_dumb => ColorMode::Never,
        cli::Color::Auto => ColorMode::Auto,
    };
    let progress = match global.progress {
        cli::Progress::Auto if is_dumb => ProgressMode::Plain,
        cli::Progress::Auto => ProgressMode::Auto,
        cli::Progress::Plain => ProgressMode::Plain,
        cli::Progress::None => ProgressMode::None,
    };
    Console::new(global.quiet, global.verbose, color, progress)
}

/// Runs a command. Expected failures become a message and an exit code; anything else is an error report.
fn start(parsed: &Cli, program: &OsStr, console: Console) -> eyre::Result<Code> {
    descriptors::raise_limit();
    report_defects()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if !matches!(parsed.command, Command::Broker(_) | Command::Scenario(_)) {
        // Signals, timers and administration need one thread; a broker serves its clients on all processors.
        runtime.worker_threads(1);
    }
    let runtime = runtime.enable_all().build().wrap_err("the runtime for signals and timers cannot be started")?;
    let shutdown = Shutdown::default();
    let on_hang_up = match &parsed.command {
        // A command at a terminal started it, and it outlives both.
        Command::Broker(broker) if broker.background => OnHangUp::Ignore,
        _ => OnHangUp::Stop,
    };
    runtime
        .block_on(async { shutdown.listen(on_hang_up) })
        .wrap_err("handlers for SIGINT, SIGTERM and SIGHUP cannot be installed")?;
    if let Some(outcome) = without_broker(parsed, &console) {
        return Ok(outcome.unwrap_or_else(|failure| {
            console.error(&failure);
            failure.code
        }));
    }
    let mut environment = environment();
    if parsed.global.leash {
        let from_parent = leash(&shutdown).wrap_err("stdin cannot be read")?;
        environment.from_parent = from_parent.recv_timeout(PARENT_TIMEOUT).ok();
        if environment.from_parent.is_none() {
            console.error(&Failure::new(Code::Terminated, "the parent process did not send the connection settings"));
            return Ok(Code::Terminated);
        }
    }
    let log = LogSink(Arc::new(crate::console::log_line));
    let common = match settings::common(&parsed.global, environment, log) {
        Ok(common) => common,
        Err(failure) => {
            console.error(&failure);
            return Ok(failure.code);
        }
    };
    console.redact(common.secrets.clone());
    common.details.iter().for_each(|line| console.detail(line));
    common.warnings.iter().for_each(|line| console.warn(line));
    #[allow(clippy::disallowed_methods, reason = "the only caller")]
    let random = uuid::Uuid::new_v4();
    let shows_next = Console::is_watched() && !parsed.global.quiet && !common.json && !parsed.global.leash;
    let next_command =
        if shows_next { settings::NextCommand::new(program, &parsed.global, &common.secrets) } else { None };
    let mut context = Context {
        common,
        next_command,
        console,
        shutdown,
        runtime: runtime.handle().clone(),
        process_id: random.simple().to_string(),
    };
    let outcome = run(&mut context, parsed, random.as_u64_pair().1);
    runtime.shutdown_background();
    Ok(outcome.unwrap_or_else(|failure| {
        context.console.error(&failure);
        failure.code
    }))
}

/// Routes panics and error reports through the console, which escapes them.
fn report_defects() -> eyre::Result<()> {
    let hooks = color_eyre::config::HookBuilder::default().display_env_section(false).theme(Theme::new());
    let (panics, reports) = hooks.into_hooks();
    reports.install()?;
    std::panic::set_hook(Box::new(move |panic| {
        crate::console::fatal_error(&panics.panic_report(panic).to_string());
    }));
    Ok(())
}

/// How long the parent process may take to send the connection settings. It sends them right after the start.
const PARENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Far more than any set of properties.
const MAX_PARENT_BYTES: u64 = 16 << 20;

/// Reads the connection settings from stdin up to a zero byte, and requests a stop when stdin is closed.
fn leash(shutdown: &Shutdown) -> std::io::Result<Receiver<String>> {
    let shutdown = shutdown.clone();
    let (sender, from_parent) = mpsc::channel();
    std::thread::Builder::new().name("leash".to_owned()).spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut received = Vec::new();
        // A truncated text is discarded: part of it could name another broker.
        if stdin.by_ref().take(MAX_PARENT_BYTES).read_until(0, &mut received).is_ok()
            && received.pop() == Some(0)
            && let Ok(received) = String::from_utf8(received)
        {
            // Too late: the receiver is gone.
            drop(sender.send(received));
        }
        drop(sender);
        // In any case the parent has closed its end.
        drop(std::io::copy(&mut stdin, &mut std::io::sink()));
        // A second request changes nothing here: only a second signal exits at once.
        let _is_first = shutdown.request(Signal::Terminate);
    })?;
    Ok(from_parent)
}

/// Commands about the program itself. They need no broker, and broker settings do not affect them.
fn without_broker(parsed: &Cli, console: &Console) -> Option<Outcome> {
    let refused = |command| commands::man::refuse_document(command, &parsed.global);
    match &parsed.command {
        Command::Completions(parsed) => {
            Some(refused("completions").and_then(|()| commands::completions::run(console, parsed, &user_folders())))
        }
        Command::Man(parsed) => Some(refused("man").and_then(|()| commands::man::run(console, &parsed.folder))),
        // The parser has already printed the help.
        Command::Help(_) => Some(Ok(Code::Done)),
        _ => None,
    }
}

/// An environment variable that is set and not empty.
fn variable(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "the only caller")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The directories of the user's shells. Relative ones are ignored, as the XDG specification requires.
fn user_folders() -> UserFolders {
    let folder = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    UserFolders {
        home: folder("HOME"),
        data: folder("XDG_DATA_HOME"),
        config: folder("XDG_CONFIG_HOME"),
        bash_completion: folder("BASH_COMPLETION_USER_DIR"),
        zsh: folder("ZDOTDIR"),
    }
}

fn environment() -> Environment {
    Environment {
        bootstrap: variable(settings::BOOTSTRAP_VARIABLE),
        broker_idle: variable(settings::IDLE_VARIABLE),
        from_parent: None,
    }
}

/// A command with its settings, ready for a broker.
type Work = Box<dyn FnOnce(&Context) -> Outcome>;

/// Checks the output files first: a command whose result cannot be written does not start.
fn run(context: &mut Context, parsed: &Cli, any_seed: u64) -> Outcome {
    let outputs = settings::outputs(parsed)?;
    for path in &outputs {
        OutputFile::check(path)?;
    }
    let outcome = run_checked(context, parsed, any_seed);
    if settings::is_live(&parsed.command) { context.end_live(outcome, &outputs) } else { outcome }
}

/// Resolves the settings before it looks for a broker, so that a mistake starts none.
fn run_checked(context: &mut Context, parsed: &Cli, any_seed: u64) -> Outcome {
    if let Command::Broker(broker) = &parsed.command {
        let settings = settings::broker(broker, &parsed.global)?;
        return match (broker.status, broker.stop) {
            (true, _) => commands::broker::status(context, &broker.data, broker.full),
            (_, true) => commands::broker::stop(context, &broker.data),
            _ => descriptors::check().and_then(|()| commands::broker::run(context, &settings)),
        };
    }
    let work = settled(context, parsed, any_seed)?;
    descriptors::check()?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Unexpected, format!("the path of this program is unknown: {error}")))?;
    let starter = Starter {
        program,
        idle: context.common.broker_idle,
        timeout: context.common.connection.timeout,
        shutdown: context.shutdown.clone(),
    };
    if let Command::Scenario(scenario) = &parsed.command
        && (context.common.wanted == BrokerTarget::Auto || !matches!(scenario.command, ScenarioCommand::Run(_)))
    {
        // `scenario run` without -b uses a private broker, and the other scenario commands none.
        return work(context);
    }
    // Keeps the embedded broker running until the work is done.
    let _lease = commands::acquire_broker(context, Path::new(""), &starter)?;
    work(context)
}

fn settled(context: &Context, parsed: &Cli, any_seed: u64) -> Result<Work, Failure> {
    let connection = &context.common.connection;
    let stdin = |most| {
        if parsed.global.leash {
            return Err(
                Failure::new(Code::Usage, "--from-file -: stdin is in use by the parent process").hint("name a file")
            );
        }
        commands::stdin(context, most)
    };
    Ok(match &parsed.command {
        Command::Produce(parsed) => {
            let settings = settings::produce(parsed, clock::wall_millis(), any_seed)?;
            Box::new(move |context| commands::produce::run(context, &settings))
        }
        Command::Inventory(parsed) => {
            let (settings, stock) = settings::inventory(parsed, connection)?;
            Box::new(move |context| commands::inventory::run(context, &settings, stock))
        }
        Command::Analytics(parsed) => {
            let (settings, every) = settings::analytics(parsed, connection)?;
            let parsed = parsed.clone();
            Box::new(move |context| {
                if parsed.from_beginning {
                    let group = settings.group.as_deref();
                    return commands::analytics::from_beginning(
                        context,
                        group,
                        !parsed.no_commit,
                        &parsed.metrics_file,
                        parsed.full,
                    );
                }
                commands::analytics::live(context, &settings, every, &parsed.metrics_file)
            })
        }
        Command::Replay(parsed) => {
            let group = context.common.names.analytics_group(parsed.group.as_deref());
            let settings = settings::replay(parsed, clock::wall_millis(), &group, &stdin)?;
            let (undo, dry_run) = (parsed.undo, parsed.dry_run);
            Box::new(move |context| match (undo, dry_run) {
                (true, _) => {
                    commands::undo::run(context, settings.group.as_deref(), settings.wait_empty, settings.full)
                }
                (_, true) => commands::replay::dry_run(context, &settings),
                _ => commands::replay::run(context, &settings),
            })
        }
        Command::Lag(parsed) => {
            let settings = settings::lag(parsed)?;
            Box::new(move |context| commands::lag::run(context, &settings))
        }
        Command::Audit(parsed) => {
            let settings = settings::audit(parsed)?;
            Box::new(move |context| commands::audit::run(context, &settings))
        }
        Command::Scenario(parsed) => {
            let parsed = parsed.clone();
            Box::new(move |context| match &parsed.command {
                ScenarioCommand::Run(run) => commands::scenario::run(context, run),
                ScenarioCommand::Check(files) => commands::scenario::check(context, files),
                ScenarioCommand::List(folders) => commands::scenario::list(context, folders),
                ScenarioCommand::Show(name) => commands::scenario::show(context, name),
            })
        }
        Command::Clean(parsed) => {
            let (consent, full) = (settings::clean(parsed, Console::can_ask())?, parsed.full);
            Box::new(move |context| commands::clean::run(context, consent, full))
        }
        Command::Broker(_) | Command::Completions(_) | Command::Man(_) | Command::Help(_) => {
            return Err(Failure::new(Code::Unexpected, "this command uses no broker"));
        }
    })
}
