//! `counted ROW WHO DECISIONS` decides so often inside one function, for callgrind to look at. See `counts.rs`.

use anyhow::Context;
use peers::contestant::{Contestant, Given, Tools, Who};
use peers::{ours, rows};

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut next = || arguments.next().context("usage: counted ROW WHO DECISIONS");
    let (id, who, decisions) = (next()?, next()?, next()?);
    let who: Who = serde_json::from_value(who.into())?;
    let row = rows::by_id(&id, true, None)?.context("this row can't be counted")?;
    let inputs = ours::inputs(&row.case)?;
    let elsewhere = || Err("only what runs in this process is counted".to_owned());
    let tools = Tools { opa: elsewhere(), python: elsewhere(), agentmesh: elsewhere() };
    let folder = std::path::Path::new("");
    let mut contestant = who.open(&Given { row: &row, inputs: &inputs, folder, tools: &tools })?;
    contestant.effects()?;
    counted_decisions(&mut *contestant, decisions.parse()?)?;
    contestant.finish()?;
    Ok(())
}

/// Found by its name.
#[inline(never)]
fn counted_decisions(contestant: &mut dyn Contestant, decisions: u64) -> anyhow::Result<()> {
    contestant.run(decisions).map(|_| ())
}
