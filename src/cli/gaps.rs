//! `offsetd gaps [GROUP]`: what groups have lost, and how far one is from the end.

use std::process::ExitCode;

use clap::Args;

use super::fail::Failure;
use super::print::{self, Output, Table, cell, maybe};
use super::seeing::Seeing;
use super::wire::group_id;
use crate::admin::bounds_view::{GapView, GapsView};

const AFTER_HELP: &str = "\
Records that were evicted before a group had committed them are lost to it. SINCE is what it has lost since it last committed
at or beyond the start, LOST what it has lost in all. Without GROUP: those that have lost most since. With it: all its positions.

JSON: tenant, groups, lost_since, gaps: [{group, stream, partition, committed, start, end, lag, lost_since, lost_total}];
start, end and lag are null where nobody has said where the stream ends.";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Of this group
    #[arg(value_parser = group_id)]
    group: Option<String>,
    #[command(flatten)]
    seeing: Seeing,
}

pub(super) async fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Arguments { group, seeing } = arguments;
    let view = match (&seeing.data_dir, group) {
        (None, Some(group)) => seeing.ask("gaps", &[("group", group)]).await?,
        (None, None) => seeing.ask("gaps", &[]).await?,
        (Some(dir), Some(group)) => {
            let lag = seeing.open(dir)?.lag(group).map_err(Failure::new)?;
            let lag = lag.ok_or_else(|| Failure::new(format!("there is no group {group:?}")))?;
            GapsView::of_group(&seeing.tenant, group, &lag, seeing.limit())
        }
        (Some(dir), None) => {
            let gaps = seeing.open(dir)?.all_gaps(seeing.limit()).map_err(Failure::new)?;
            GapsView::of_all(&seeing.tenant, &gaps)
        }
    };
    match seeing.output {
        Output::Json => print::json(&view),
        Output::Table => print::out(&text(&view)),
    }
    Ok(ExitCode::SUCCESS)
}

fn text(view: &GapsView) -> String {
    if view.gaps.is_empty() {
        return format!("No group of tenant {} has lost anything, as far as is known.\n", cell(&view.tenant));
    }
    let heads = ["GROUP", "STREAM", "PARTITION", "OFFSET", "START", "END", "LAG", "SINCE", "LOST"];
    let mut table = Table::new(&heads);
    for gap in &view.gaps {
        let mut row = vec![cell(&gap.group), cell(&gap.stream), gap.partition.to_string()];
        row.push(gap.committed.to_string());
        row.extend(numbers(gap));
        table.row(row);
    }
    let GapsView { groups, lost_since, .. } = view;
    let sum = match groups {
        0 => "Nothing was lost that has not been left behind.".to_owned(),
        1 => format!("1 group has lost {lost_since} records that it has not left behind."),
        many => format!("{many} groups have lost {lost_since} records that they have not left behind."),
    };
    format!("{}\n{sum}\n", table.text())
}

/// Start, end, lag, lost since and in all.
pub(super) fn numbers(gap: &GapView) -> [String; 5] {
    let (since, total) = (gap.lost_since.to_string(), gap.lost_total.to_string());
    [maybe(gap.start), maybe(gap.end), maybe(gap.lag), since, total]
}
