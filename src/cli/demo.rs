//! `offsetd demo`
use std::process::ExitCode;
pub(super) fn run() -> ExitCode {
    ExitCode::SUCCESS
}
