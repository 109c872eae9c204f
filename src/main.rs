//! Owns the process: parses what was typed, runs the command, and turns its outcome into the exit code.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use color_eyre::eyre::{self, WrapErr};
use foodstream::cli::{self, Cli, Command};
use foodstream::clock;
use foodstream::commands::{self, Context};
use foodstream::console::{ColorMode, Console, ProgressMode};
use foodstream::exit::{Code, Outcome};
use foodstream::kafka::LogSink;
use foodstream::replay::Target;
use foodstream::settings;
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .wrap_err("the runtime for signals and timers could not be started")?;
    let shutdown = Shutdown::default();
    runtime.block_on(async { shutdown.listen() }).wrap_err("SIGINT and SIGTERM cannot be listened to")?;
    #[allow(clippy::disallowed_methods, reason = "the environment is read here and nowhere else")]
    let environment = std::env::var(settings::BOOTSTRAP_VARIABLE).ok();
    let log = LogSink(Arc::new(foodstream::console::aside));
    let common = match settings::common(&typed.global, environment, log) {
        Ok(common) => common,
        Err(failure) => {
            console.error(&failure);
            return Ok(failure.code);
        }
    };
    #[allow(clippy::disallowed_methods, reason = "randomness is drawn here and nowhere else")]
    let random = uuid::Uuid::new_v4();
    let context = Context {
        common,
        console,
        shutdown,
        runtime: runtime.handle().clone(),
        process_id: random.simple().to_string(),
    };
    let outcome = run(&context, &typed.command, random.as_u64_pair().1);
    runtime.shutdown_background();
    Ok(outcome.unwrap_or_else(|failure| {
        context.console.error(&failure);
        failure.code
    }))
}

fn run(context: &Context, command: &Command, any_seed: u64) -> Outcome {
    let connection = &context.common.connection;
    match command {
        Command::Produce(typed) => {
            commands::produce::run(context, &settings::produce(typed, clock::wall_millis(), any_seed)?)
        }
        Command::Inventory(typed) => {
            let (settings, stock) = settings::inventory(typed, connection)?;
            commands::inventory::run(context, &settings, stock)
        }
        Command::Analytics(typed) => {
            let (settings, every) = settings::analytics(typed, connection)?;
            if typed.from_beginning {
                let group = settings.group.as_deref();
                return commands::analytics::from_beginning(context, group, !typed.no_commit, &typed.metrics_file);
            }
            commands::analytics::live(context, &settings, every, &typed.metrics_file)
        }
        Command::Replay(typed) => {
            settings::replay(typed)?;
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
    }
}
