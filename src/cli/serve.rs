//! `arbour serve`: a host that stays, for screens elsewhere.

use std::io::Write as _;

use super::args::Serve;
use super::context::Context;
use super::{host, output};
use crate::daemon;
use crate::error::{Error, Kind, Result};

pub async fn run(context: &Context, serve: Serve) -> Result<u8> {
    if context.global.connect.is_some() || context.in_process() {
        return Err(Error::new(Kind::Usage, "`serve` is a host itself: --connect and --in-process make no sense with it."));
    }
    if serve.print_token {
        output::text(&format!("{}\n", daemon::token(&context.paths.state)?))?;
        return Ok(0);
    }
    let token = context.paths.state.join(crate::proto::lock::TOKEN_FILE);
    daemon::serve(host::options(context), &serve.listen, |serving| {
        let mut err = std::io::stderr().lock();
        let (address, pid) = (&serving.address, serving.pid);
        // Whoever started it may have closed standard error; it serves all the same.
        drop(writeln!(err, "Listening at ws://{address} (host: process {pid}). C-c ends it."));
        drop(writeln!(err, "Elsewhere: arbour --connect ws://{address} --token-file FILE, with what is in {}.", token.display()));
        if !is_private(address) {
            drop(writeln!(err, "Everybody who can reach this address can try tokens, and what is said is not encrypted."));
            drop(writeln!(err, "Outside a trusted network, listen on 127.0.0.1 and use `ssh -L 7717:127.0.0.1:7717 THIS_MACHINE`."));
        }
    })
    .await?;
    Ok(0)
}

/// Whether only this machine can reach the address.
fn is_private(address: &str) -> bool {
    address.parse::<std::net::SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_private() {
        assert!(is_private("127.0.0.1:7717") && is_private("[::1]:7717"));
        assert!(!is_private("0.0.0.0:7717") && !is_private("192.168.1.2:7717") && !is_private("[::]:1"));
    }
}
