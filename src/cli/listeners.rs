//! Where a process listens, and for what: the API and the metrics may have addresses of their own, so that the one that
//! WeChat reaches has nothing else.

use std::net::TcpListener;

use anyhow::{Context as _, Result};

use super::role::Role;
use super::terminal::say;
use crate::config::Server;
use crate::web::{Listener, Routes};

/// An address to listen on, the setting that says so, and what is served there.
#[derive(Debug, PartialEq, Eq)]
struct ListenAddress<'a> {
    bind: &'a str,
    setting: &'static str,
    routes: Routes,
}

/// The places of a role; the first is that of `server.bind`.
fn addresses<'a>(server: &'a Server, role: Role) -> Vec<ListenAddress<'a>> {
    let takes_requests = role != Role::Worker;
    let mut addresses = vec![ListenAddress {
        bind: &server.bind,
        setting: "server.bind",
        routes: Routes {
            callbacks: takes_requests,
            ..Routes::default()
        },
    }];
    let mut add = |bind: &'a str, setting, give: fn(&mut Routes)| {
        let known = addresses
            .iter_mut()
            .find(|address| bind.is_empty() || address.bind == bind);
        match known {
            Some(address) => give(&mut address.routes),
            None => {
                let mut routes = Routes::default();
                give(&mut routes);
                addresses.push(ListenAddress {
                    bind,
                    setting,
                    routes,
                });
            }
        }
    };
    if takes_requests {
        add(&server.api_bind, "server.api_bind", |routes| {
            routes.api = true;
        });
    }
    add(&server.metrics_bind, "server.metrics_bind", |routes| {
        routes.metrics = true;
    });
    addresses
}

/// Binds all of them.
pub(super) fn bind(server: &Server, role: Role) -> Result<Vec<Listener>> {
    let bind = |address: ListenAddress<'_>| {
        let ListenAddress {
            bind,
            setting,
            routes,
        } = address;
        let socket =
            TcpListener::bind(bind).with_context(|| format!("listening on {bind} ({setting})"))?;
        Ok(Listener { socket, routes })
    };
    addresses(server, role).into_iter().map(bind).collect()
}

/// Says where they are, and warns of what others can reach. Whoever waits for the line of `server.bind`, which is the
/// last, can reach all.
pub(super) fn announce(listeners: &[Listener], server: &Server) -> Result<()> {
    for (at, Listener { socket, routes }) in listeners.iter().enumerate().rev() {
        let address = socket.local_addr()?;
        let what = match (at, routes.api, routes.metrics) {
            (0, ..) => "",
            (_, true, true) => "for the API and /metrics ",
            (_, true, false) => "for the API ",
            (_, false, _) => "for /metrics ",
        };
        match what {
            "" => say!("listening on http://{address}"),
            _ => say!("listening {what}on http://{address}"),
        }
    }
    let mut exposed = Vec::new();
    for Listener { socket, routes } in listeners {
        if !socket.local_addr()?.ip().is_loopback() {
            exposed.extend(routes.api.then_some("the API"));
            exposed.extend(routes.metrics.then_some("/metrics"));
        }
    }
    if !exposed.is_empty() && server.public_url.is_empty() {
        let what = exposed.join(" and ");
        tracing::warn!(
            "{what} can be reached from other machines: let a proxy pass only /callback/ on from outside, then set \
             server.public_url to its address; or give them addresses inside by server.api_bind and \
             server.metrics_bind"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn planned(bind: [&str; 3], role: Role) -> Vec<(String, [bool; 3])> {
        let mut server = Config::default().server;
        [server.bind, server.api_bind, server.metrics_bind] = bind.map(str::to_owned);
        let addresses = addresses(&server, role).into_iter().map(|address| {
            let Routes {
                callbacks,
                api,
                metrics,
            } = address.routes;
            (address.bind.to_owned(), [callbacks, api, metrics])
        });
        addresses.collect()
    }

    #[test]
    fn each_is_served_once_and_what_has_one_address_shares_its_listener() {
        let at = |bind: &str, what| (bind.to_owned(), what);
        for role in [Role::All, Role::Web] {
            assert_eq!(planned(["a", "", ""], role), [at("a", [true; 3])]);
            assert_eq!(planned(["a", "a", "a"], role), [at("a", [true; 3])]);
            assert_eq!(
                planned(["a", "b", ""], role),
                [at("a", [true, false, true]), at("b", [false, true, false])]
            );
            assert_eq!(
                planned(["a", "b", "b"], role),
                [at("a", [true, false, false]), at("b", [false, true, true])]
            );
            assert_eq!(planned(["a", "b", "c"], role).len(), 3);
        }
        let worker = planned(["a", "b", ""], Role::Worker);
        assert_eq!(worker, [at("a", [false, false, true])]);
        let worker = planned(["a", "b", "c"], Role::Worker);
        assert_eq!(worker, [at("a", [false; 3]), at("c", [false, false, true])]);
    }
}
