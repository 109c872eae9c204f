//! The process: parses the command line, runs the command, and returns its exit code.

use std::ffi::OsString;
use std::io::{BufRead, Read};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::cli::{self, Cli, Command, ScenarioCommand};
use crate::clock;
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

/// Runs the program with the arguments and the environment of this process, and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let no_color = variable("NO_COLOR").is_some();
    let typed = match cli::parse(arguments, no_color) {
        Ok(typed) => typed,
        Err(instead) => return tell(&instead),
    };
    let console = console(&typed.global, no_color);
    match start(&typed, console) {
        Ok(code) => ExitCode::from(code.number()),
        Err(report) => {
            crate::console::fatal_error(&format!("{report:?}"));
            ExitCode::from(Code::Unexpected.number())
        }
    }
}

/// Prints help, versions, or what is wrong with the command line.
fn tell(instead: &clap::Error) -> ExitCode {
    let code = u8::try_from(instead.exit_code()).unwrap_or(Code::Usage.number());
    match instead.print() {
        // A closed reader has seen enough.
        Err(error) if !instead.use_stderr() && error.kind() != std::io::ErrorKind::BrokenPipe => {
            crate::console::fatal_error(&format!("stdout cannot be written: {error}"));
            ExitCode::from(Code::Output.number())
        }
        _ => ExitCode::from(code),
    }
}

fn console(global: &cli::Global, no_color: bool) -> Console {
    let color = match global.color {
        cli::Color::Always => ColorMode::Always,
        cli::Color::Never => ColorMode::Never,
        cli::Color::Auto if no_color => ColorMode::Never,
        cli::Color::Auto => ColorMode::Auto,
    };
    let progress = match global.progress {
        cli::Progress::Auto => ProgressMode::Auto,
        cli::Progress::Plain => ProgressMode::Plain,
        cli::Progress::None => ProgressMode::None,
    };
    Console::new(global.quiet, global.verbose, color, progress)
}

/// What a command foresees ends as its outcome, told in one line with a hint; only the unforeseen becomes a report.
fn start(typed: &Cli, console: Console) -> eyre::Result<Code> {
    descriptors::raise_limit();
    report_defects()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if !matches!(typed.command, Command::Broker(_) | Command::Scenario(_)) {
        // Signals, timers and administration; a broker serves its clients on every processor.
        runtime.worker_threads(1);
    }
    let runtime = runtime.enable_all().build().wrap_err("the runtime for signals and timers could not be started")?;
    let shutdown = Shutdown::default();
    let on_hang_up = match &typed.command {
        // It was started by a command at a terminal, and outlives both.
        Command::Broker(broker) if broker.background => OnHangUp::Ignore,
        _ => OnHangUp::Stop,
    };
    runtime
        .block_on(async { shutdown.listen(on_hang_up) })
        .wrap_err("SIGINT, SIGTERM and SIGHUP cannot be listened to")?;
    if let Some(outcome) = without_broker(typed, &console) {
        return Ok(outcome.unwrap_or_else(|failure| {
            console.error(&failure);
            failure.code
        }));
    }
    let mut environment = environment();
    if typed.global.leash {
        let from_parent = leash(&shutdown).wrap_err("stdin cannot be listened to")?;
        environment.from_parent = from_parent.recv_timeout(PARENT_TIMEOUT).ok();
        if environment.from_parent.is_none() {
            console.error(&Failure::new(
                Code::Terminated,
                "who started this process has not said how to reach the broker",
            ));
            return Ok(Code::Terminated);
        }
    }
    let log = LogSink(Arc::new(crate::console::log_line));
    let common = match settings::common(&typed.global, environment, log) {
        Ok(common) => common,
        Err(failure) => {
            console.error(&failure);
            return Ok(failure.code);
        }
    };
    console.redact(common.secrets.clone());
    common.details.iter().for_each(|line| console.detail(line));
    common.warnings.iter().for_each(|line| console.warn(line));
    #[allow(clippy::disallowed_methods, reason = "randomness is drawn here and nowhere else")]
    let random = uuid::Uuid::new_v4();
    let mut context = Context {
        common,
        console,
        shutdown,
        runtime: runtime.handle().clone(),
        process_id: random.simple().to_string(),
    };
    let outcome = run(&mut context, typed, random.as_u64_pair().1);
    runtime.shutdown_background();
    Ok(outcome.unwrap_or_else(|failure| {
        context.console.error(&failure);
        failure.code
    }))
}

/// Has panics and reports of what was not foreseen go through the console, as everything that is written.
fn report_defects() -> eyre::Result<()> {
    let hooks = color_eyre::config::HookBuilder::default().display_env_section(false).theme(Theme::new());
    let (panics, reports) = hooks.into_hooks();
    reports.install()?;
    std::panic::set_hook(Box::new(move |panic| {
        crate::console::fatal_error(&panics.panic_report(panic).to_string());
    }));
    Ok(())
}

/// How long whoever holds the leash has to say how the broker is reached; it is said right after the start.
const PARENT_TIMEOUT: Duration = Duration::from_secs(30);

/// More than any properties come to.
const MAX_PARENT_BYTES: u64 = 16 << 20;

/// Reads what is from_parent on stdin, which ends with a zero byte, and asks to stop when stdin is closed.
fn leash(shutdown: &Shutdown) -> std::io::Result<Receiver<String>> {
    let shutdown = shutdown.clone();
    let (sender, from_parent) = mpsc::channel();
    std::thread::Builder::new().name("leash".to_owned()).spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut said = Vec::new();
        // What was cut short is not taken: with a part of it another broker might be meant.
        if stdin.by_ref().take(MAX_PARENT_BYTES).read_until(0, &mut said).is_ok()
            && said.pop() == Some(0)
            && let Ok(said) = String::from_utf8(said)
        {
            // Nobody waits for it any more when it came too late.
            sender.send(said).unwrap_or_default();
        }
        drop(sender);
        // However it ends, nobody holds the other end any more.
        std::io::copy(&mut stdin, &mut std::io::sink()).unwrap_or_default();
        // Somebody may have asked before, and then asks again when he insists.
        let _already_asked = !shutdown.request(Signal::Terminate);
    })?;
    Ok(from_parent)
}

/// Commands about this program itself: they reach for no broker, and no setting of one is in their way.
fn without_broker(typed: &Cli, console: &Console) -> Option<Outcome> {
    let refused = |command| commands::man::refuse_document(command, &typed.global);
    match &typed.command {
        Command::Completions(typed) => {
            Some(refused("completions").and_then(|()| commands::completions::run(console, typed.shell)))
        }
        Command::Man(typed) => Some(refused("man").and_then(|()| commands::man::run(console, &typed.folder))),
        // What there is to tell was told instead of a command line.
        Command::Help(_) => Some(Ok(Code::Done)),
        _ => None,
    }
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    #[allow(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
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

/// Outputs first: a command whose answer could not be written does not begin.
fn run(context: &mut Context, typed: &Cli, any_seed: u64) -> Outcome {
    let outputs = settings::outputs(typed)?;
    for path in &outputs {
        OutputFile::check(path)?;
    }
    let outcome = run_checked(context, typed, any_seed);
    if settings::is_live(&typed.command) { context.end_live(outcome, &outputs) } else { outcome }
}

/// Settings first, the broker then: what is typed wrong starts none.
fn run_checked(context: &mut Context, typed: &Cli, any_seed: u64) -> Outcome {
    if let Command::Broker(broker) = &typed.command {
        let settings = settings::broker(broker, &typed.global)?;
        return match (broker.status, broker.stop) {
            (true, _) => commands::broker::status(context, &broker.data),
            (_, true) => commands::broker::stop(context, &broker.data),
            _ => descriptors::check().and_then(|()| commands::broker::run(context, &settings)),
        };
    }
    let work = settled(context, typed, any_seed)?;
    descriptors::check()?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Unexpected, format!("this program does not find itself: {error}")))?;
    let starter = Starter {
        program,
        idle: context.common.broker_idle,
        timeout: context.common.connection.timeout,
        shutdown: context.shutdown.clone(),
    };
    if let Command::Scenario(scenario) = &typed.command
        && (context.common.wanted == BrokerTarget::Auto || !matches!(scenario.command, ScenarioCommand::Run(_)))
    {
        // A script has a private broker where none is named, and is read without any.
        return work(context);
    }
    // Held until the work is over: the embedded broker stays for as long.
    let _lease = commands::reach(context, Path::new(""), &starter)?;
    work(context)
}

fn settled(context: &Context, typed: &Cli, any_seed: u64) -> Result<Work, Failure> {
    let connection = &context.common.connection;
    let stdin = |most| {
        if typed.global.leash {
            return Err(
                Failure::new(Code::Usage, "--from-file -: stdin is what this process is held by").hint("name a file")
            );
        }
        commands::stdin(context, most)
    };
    Ok(match &typed.command {
        Command::Produce(typed) => {
            let settings = settings::produce(typed, clock::wall_millis(), any_seed)?;
            Box::new(move |context| commands::produce::run(context, &settings))
        }
        Command::Inventory(typed) => {
            let (settings, stock) = settings::inventory(typed, connection)?;
            Box::new(move |context| commands::inventory::run(context, &settings, stock))
        }
        Command::Analytics(typed) => {
            let (settings, every) = settings::analytics(typed, connection)?;
            let typed = typed.clone();
            Box::new(move |context| {
                if typed.from_beginning {
                    let group = settings.group.as_deref();
                    return commands::analytics::from_beginning(
                        context,
                        group,
                        !typed.no_commit,
                        &typed.metrics_file,
                        typed.full,
                    );
                }
                commands::analytics::live(context, &settings, every, &typed.metrics_file, typed.full)
            })
        }
        Command::Replay(typed) => {
            let group = context.common.names.analytics_group(typed.group.as_deref());
            let settings = settings::replay(typed, clock::wall_millis(), &group, &stdin)?;
            let (undo, dry_run) = (typed.undo, typed.dry_run);
            Box::new(move |context| match (undo, dry_run) {
                (true, _) => {
                    commands::undo::run(context, settings.group.as_deref(), settings.wait_empty, settings.full)
                }
                (_, true) => commands::replay::dry_run(context, &settings),
                _ => commands::replay::run(context, &settings),
            })
        }
        Command::Lag(typed) => {
            let settings = settings::lag(typed)?;
            Box::new(move |context| commands::lag::run(context, &settings))
        }
        Command::Scenario(typed) => {
            let typed = typed.clone();
            Box::new(move |context| match &typed.command {
                ScenarioCommand::Run(run) => commands::scenario::run(context, run),
                ScenarioCommand::Check(files) => commands::scenario::check(context, files),
                ScenarioCommand::List(folders) => commands::scenario::list(context, folders),
            })
        }
        Command::Clean(typed) => {
            let consent = settings::clean(typed, Console::can_ask())?;
            Box::new(move |context| commands::clean::run(context, consent))
        }
        Command::Broker(_) | Command::Completions(_) | Command::Man(_) | Command::Help(_) => {
            return Err(Failure::new(Code::Unexpected, "this command reaches for no broker"));
        }
    })
}
