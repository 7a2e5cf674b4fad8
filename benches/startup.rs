//! How long until arbour can be used: `cargo bench --bench startup`.

#[path = "common/mod.rs"]
mod common;
#[path = "../tests/support/home.rs"]
mod home;
#[path = "../tests/support/pty.rs"]
mod pty;
#[path = "../tests/support/mod.rs"]
mod support;

fn main() {
    common::machine(&home::Home::binary());
    start::measure();
}

#[path = "common/start.rs"]
mod start;
