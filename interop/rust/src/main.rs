// SPDX-License-Identifier: Apache-2.0 OR MIT

//! The rust-libp2p interop peer: the part of the common command line that finds peers. One JSON object a line on stdout,
//! diagnostics on stderr. Exit 0: done; 1: not done, the last line says why; 2: usage error.

mod flags;
mod node;

use std::process::ExitCode;

use flags::{Command, Flags};
use serde_json::json;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let flags = match Flags::parse(std::env::args().skip(1)) {
        Ok(flags) => flags,
        Err(error) => return fail(2, &error),
    };
    let limit = flags.timeout;
    let done = match flags.command.clone() {
        Command::Listen => node::listen(flags).await,
        Command::Register(point, namespace) => within(limit, node::register(flags, point, namespace)).await,
        Command::Discover(point, namespace) => within(limit, node::discover(flags, point, namespace)).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error.to_string()),
    }
}

async fn within(limit: std::time::Duration, run: impl Future<Output = node::Done>) -> node::Done {
    tokio::time::timeout(limit, run).await.map_err(|_| format!("timed out after {limit:?}"))?
}

fn fail(code: u8, error: &str) -> ExitCode {
    println!("{}", json!({"ok": false, "error": error}));
    ExitCode::from(code)
}
