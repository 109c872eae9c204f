//! Owns the process: parses what was typed, runs the command, and turns its outcome into the exit code.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use color_eyre::eyre::{self, WrapErr};
use foodstream::cli::{self, Cli, Command};
use foodstream::clock;
use foodstream::commands::{self, Context};
use foodstream::console::{ColorMode, Console, ProgressMode};
use foodstream::exit::{Code, Failure, Outcome};
use foodstream::kafka::LogSink;
use foodstream::local_broker::Starter;
use foodstream::replay::Target;
use foodstream::settings::{self, Environment};
use foodstream::shutdown::Shutdown;

fn main() -> ExitCode {
    let typed = Cli::parse();
    let console = console(&typed.global);
    match start(&typed, console) {
        Ok(code) => ExitCode::from(code.number()),
        Err(report) => {
            foodstream::console::last_words(&format!("{report:?}"));
            ExitCode::from(Code::Unexpected.number())
        }
    }
}

fn console(global: &cli::Global) -> Console {
    let color = match global.color {
        cli::Color::Auto => ColorMode::Auto,
        cli::Color::Always => ColorMode::Always,
        cli::Color::Never => ColorMode::Never,
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
    color_eyre::config::HookBuilder::default().display_env_section(false).install()?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if !matches!(typed.command, Command::Broker(_)) {
        // Signals, timers and administration; a broker serves its clients on every processor.
        runtime.worker_threads(1);
    }
    let runtime = runtime.enable_all().build().wrap_err("the runtime for signals and timers could not be started")?;
    let shutdown = Shutdown::default();
    runtime.block_on(async { shutdown.listen() }).wrap_err("SIGINT and SIGTERM cannot be listened to")?;
    let log = LogSink(Arc::new(foodstream::console::aside));
    let common = match settings::common(&typed.global, environment(), log) {
        Ok(common) => common,
        Err(failure) => {
            console.error(&failure);
            return Ok(failure.code);
        }
    };
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
        let failure = context.explain(failure);
        context.console.error(&failure);
        failure.code
    }))
}

fn environment() -> Environment {
    #[allow(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
    let variable = |name| std::env::var(name).ok();
    Environment { bootstrap: variable(settings::BOOTSTRAP_VARIABLE), broker_idle: variable(settings::IDLE_VARIABLE) }
}

/// A command with its settings, ready for a broker.
type Work = Box<dyn FnOnce(&Context) -> Outcome>;

/// Settings first, the broker then: what is typed wrong starts none.
fn run(context: &mut Context, typed: &Cli, any_seed: u64) -> Outcome {
    if let Command::Broker(broker) = &typed.command {
        let settings = settings::broker(broker, &typed.global)?;
        return match (broker.status, broker.stop) {
            (true, _) => commands::broker_control::status(context, &broker.data),
            (_, true) => commands::broker_control::stop(context, &broker.data),
            _ => commands::broker::run(context, &settings),
        };
    }
    let work = settled(&context.common, &typed.command, any_seed)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Unexpected, format!("this program does not find itself: {error}")))?;
    let starter = Starter {
        program,
        idle: context.common.broker_idle,
        timeout: context.common.connection.timeout,
        shutdown: context.shutdown.clone(),
    };
    // Held until the work is over: the embedded broker stays for as long.
    let _lease = commands::reach(context, Path::new(""), &starter)?;
    work(context)
}

fn settled(common: &settings::Common, command: &Command, any_seed: u64) -> Result<Work, Failure> {
    let connection = &common.connection;
    Ok(match command {
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
                    return commands::analytics::from_beginning(context, group, !typed.no_commit, &typed.metrics_file);
                }
                commands::analytics::live(context, &settings, every, &typed.metrics_file)
            })
        }
        Command::Replay(typed) => {
            settings::replay(typed)?;
            let typed = typed.clone();
            Box::new(move |context| replay(context, &typed))
        }
        Command::Lag(typed) => {
            let settings = settings::lag(typed)?;
            Box::new(move |context| commands::lag::run(context, &settings))
        }
        Command::Clean(typed) => {
            let typed = typed.clone();
            Box::new(move |context| commands::clean::run(context, &typed))
        }
        Command::Broker(_) => {
            return Err(Failure::new(Code::Unexpected, "a broker does not reach for a broker"));
        }
    })
}

fn replay(context: &Context, typed: &cli::Replay) -> Outcome {
    let wait_empty = typed.wait_empty.map(Into::into);
    if typed.undo {
        return commands::undo::run(context, typed.group.as_deref(), wait_empty);
    }
    let job = commands::replay::ReplayJob {
        target: typed.to_offset.map_or(Target::Earliest, Target::Offset),
        shadow: typed.shadow,
        wait_empty,
        group: typed.group.clone(),
    };
    if typed.dry_run {
        return commands::replay::dry_run(context, &job);
    }
    commands::replay::run(context, &job, &typed.initial_file, &typed.after_file)
}
