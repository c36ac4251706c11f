//! Serves a connection with nothing but a `Proxy`, to measure the data path alone.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mcpgate::config::Config;
use mcpgate::proxy::{Destination, Peer, Proxy, RouteTable};
use mcpgate::web::{RequestBody, RequestId};
use tokio::net::TcpStream;

/// Serves HTTP/1.1 in a task of its own; every request goes to the first upstream.
pub(crate) fn serve_proxy(stream: TcpStream, proxy: &Arc<Proxy>, table: &Arc<RouteTable>, config: &Arc<Config>) {
    let (proxy, table, config) = (Arc::clone(proxy), Arc::clone(table), Arc::clone(config));
    let service = service_fn(move |request| {
        let (proxy, table, config) = (Arc::clone(&proxy), Arc::clone(&table), Arc::clone(&config));
        let mut peer = Peer {
            address: Ipv4Addr::LOCALHOST.into(),
            forwarded_for: HeaderValue::from_static("192.0.2.7"),
            request_id: RequestId::new([1; 16]),
            has_good_token: false,
        };
        async move {
            let to = Destination { table: &table, route: 0, config: &config };
            let (mut head, mut body) = RequestBody::of(request).into_parts();
            Ok::<_, Infallible>(proxy.serve(to, &mut head, &mut body, &mut peer).await)
        }
    });
    tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
}
