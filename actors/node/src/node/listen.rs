//! Where a node listens, and why it cannot.

use std::fmt;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

/// A listener of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// For users and programs.
    Rpc,
    /// For provers, attesters and replicas.
    Workers,
}

impl fmt::Display for Listens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Listens::Rpc => "the RPC ([rpc] listen, or --rpc)",
            Listens::Workers => "workers ([workers] listen)",
        })
    }
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {what}: {source}; {}", self.advice())]
pub struct CannotListen {
    /// Who would listen.
    pub what: Listens,
    /// The address.
    pub address: SocketAddr,
    /// What the system says.
    pub source: std::io::Error,
}

impl CannotListen {
    fn advice(&self) -> &'static str {
        match self.source.kind() {
            ErrorKind::AddrInUse => {
                "another program listens there, perhaps another node: stop it or choose another port"
            }
            ErrorKind::AddrNotAvailable => {
                "it is no address of this machine: choose one that is, or 0.0.0.0 for all of them"
            }
            ErrorKind::PermissionDenied => "ports below 1024 need a right: choose a higher one",
            _ => "choose another address",
        }
    }
}

/// Finds out before long work whether there will be a place to listen on: the address is bound and left again.
///
/// # Errors
/// [`CannotListen`].
pub fn can_listen(what: Listens, address: SocketAddr) -> Result<(), CannotListen> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(source) => Err(CannotListen { what, address, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_told_from_an_address_of_another_machine() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = can_listen(Listens::Rpc, address).unwrap_err().to_string();
        assert!(error.contains("for the RPC") && error.contains("another program"), "{error}");
        drop(taken);
        can_listen(Listens::Rpc, address).unwrap();
        // An address for documents (RFC 5737), which no machine has.
        let foreign = "192.0.2.1:3040".parse().unwrap();
        let error = can_listen(Listens::Workers, foreign).unwrap_err().to_string();
        assert!(
            error.contains("[workers] listen") && error.contains("no address of this"),
            "{error}"
        );
    }
}
