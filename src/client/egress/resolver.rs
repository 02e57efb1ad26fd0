//! Resolves the names of hosts, and drops the addresses that may not be connected to.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Egress;

type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// The error about a host none of whose addresses may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("the host has no address that may be connected to")]
pub(in crate::client) struct ForbiddenAddress;

pub(super) struct FilteringResolver {
    egress: Egress,
    look_up: Arc<LookUp>,
}

impl FilteringResolver {
    pub(super) fn new(egress: Egress) -> Self {
        Self { egress, look_up: Arc::new(system_look_up) }
    }
}

impl Resolve for FilteringResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (egress, look_up) = (self.egress.clone(), Arc::clone(&self.look_up));
        Box::pin(async move {
            let look_up = move || look_up(name.as_str());
            let found = tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)??;
            let allowed: Vec<_> =
                found.into_iter().filter(|address| egress.allows(*address)).collect();
            if allowed.is_empty() {
                return Err(ForbiddenAddress.into());
            }
            // The client sets the port.
            let addresses = allowed.into_iter().map(|address| SocketAddr::new(address, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

fn system_look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;
    use std::sync::Mutex;

    use super::*;

    async fn resolve(resolver: &FilteringResolver) -> Result<Vec<String>, String> {
        let addresses = resolver.resolve(Name::from_str("mcp.example").unwrap()).await;
        let addresses = addresses.map_err(|error| error.to_string())?;
        Ok(addresses.map(|address| address.ip().to_string()).collect())
    }

    #[tokio::test]
    async fn only_allowed_addresses_are_left_at_each_resolution() {
        let forbidden = Err(ForbiddenAddress.to_string());
        let public = || Ok(vec!["1.1.1.1".to_owned()]);
        // A name whose addresses change, as in DNS rebinding.
        let rows = [
            (vec!["1.1.1.1"], public()),
            (vec!["127.0.0.1"], forbidden.clone()),
            (vec!["169.254.169.254", "1.1.1.1", "::ffff:10.0.0.1"], public()),
            (vec!["::1", "fe80::1", "64:ff9b::a9fe:a9fe"], forbidden.clone()),
            (vec![], forbidden),
        ];
        let answers: Vec<Vec<IpAddr>> = rows
            .iter()
            .map(|(found, _)| found.iter().map(|address| address.parse().unwrap()).collect())
            .collect();
        let answers = Mutex::new(answers.into_iter());
        let look_up = move |name: &str| {
            assert_eq!(name, "mcp.example");
            Ok(answers.lock().unwrap().next().unwrap())
        };
        let resolver = FilteringResolver { egress: Egress::public(), look_up: Arc::new(look_up) };
        for (found, expected) in rows {
            assert_eq!(resolve(&resolver).await, expected, "{found:?}");
        }
    }

    #[tokio::test]
    async fn a_failed_look_up_is_not_a_forbidden_address() {
        let look_up = |_: &str| Err(io::Error::other("no such host"));
        let resolver = FilteringResolver { egress: Egress::public(), look_up: Arc::new(look_up) };
        assert_eq!(resolve(&resolver).await, Err("no such host".to_owned()));
    }
}
