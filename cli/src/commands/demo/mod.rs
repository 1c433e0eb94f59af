//! `meshguard demo`: publishing, deciding, updating, an outage, a restart, and everything recorded, on one machine.
//!
//! Nothing is pretended: a real control plane with its store on disk, real gRPC over loopback, real signatures, a real
//! edge. It plays publisher, operator and agent in one process, which nobody should do outside a demo.

mod examples;
mod report;
mod story;

use crate::Global;
use crate::failure::Failure;
use crate::output::print_line;

use self::report::Report;
use self::story::Story;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many requests to decide
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    decisions: u32,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<(), Failure> {
    let mut report = Report::new(global);
    // A step that can't go on ends the story; the report says how far it came.
    let told = Story::begin(&mut report).and_then(|story| story.tell(args.decisions, &mut report));
    if let Err(failure) = told {
        report.broke_off(&failure);
    }
    print_line(&report.render(global.json)?)?;
    if report.holds() { Ok(()) } else { Err(Failure::general("a step of the demo did not hold")) }
}
