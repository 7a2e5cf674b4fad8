//! A host at an address: WebSocket over a Unix socket, TCP, or TCP with TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, WebSocketStream, client_async_tls_with_config};

use super::link::{self, Road, Way};
use super::{Client, Introduction};
use crate::error::{Error, Kind, Result, quoted};
use crate::proto::wire::{ClientFrame, Hello, HostFrame, MAX_FRAME, SUBPROTOCOL, Welcome, decode, encode};

/// The port that `serve` listens on unless told otherwise.
pub const PORT: u16 = 7717;
/// How long a connection over the network, with its greeting, may take.
const NETWORK_PATIENCE: Duration = Duration::from_secs(10);
/// The same over a Unix socket: the host is on this machine, but may be opening its database.
const SOCKET_PATIENCE: Duration = Duration::from_secs(5);
/// A host on the network lets hear of itself every 20 s; after three times that the link is dead.
const SILENCE: Duration = Duration::from_secs(60);

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Where a host listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    Tcp { host: String, port: u16, tls: bool },
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { host, port, tls } => {
                let scheme = if *tls { "wss" } else { "ws" };
                if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
            }
        }
    }
}

impl Address {
    /// Reads `ws://host[:port]`, `wss://host[:port]` or `unix:/path`.
    ///
    /// # Errors
    /// [`Kind::Usage`] that shows the three forms.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(Kind::Usage, format!("{} is not the address of a host.", quoted(text)))
                .hint("Write ws://host:7717, wss://host or unix:/path/to/the/socket.")
        };
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Self::Unix(PathBuf::from(path))) } else { Err(wrong()) };
        }
        let (tls, rest) = match (text.strip_prefix("ws://"), text.strip_prefix("wss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) || authority.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        let (host, port) = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        if host.is_empty() {
            return Err(wrong());
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| wrong())?,
            None if tls => 443,
            None => PORT,
        };
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }

    /// Connects and introduces itself.
    pub(super) async fn attach(&self, hello: &Hello) -> Result<(WebLink, Welcome)> {
        let patience = if matches!(self, Self::Unix(_)) { SOCKET_PATIENCE } else { NETWORK_PATIENCE };
        let attached = async {
            let mut link = self.connect().await?;
            let welcome = link::greet(&mut link, hello).await?;
            Ok((link, welcome))
        };
        tokio::time::timeout(patience, attached).await.unwrap_or_else(|_| {
            let hint = match self {
                Self::Unix(_) => "The host may be busy or stopped. `arbour doctor` names its process.",
                Self::Tcp { .. } => "Check the address, and that `arbour serve` runs there.",
            };
            Err(Error::new(Kind::Unreachable, format!("Nothing answered at {self} within {} s.", patience.as_secs())).hint(hint))
        })
    }

    async fn connect(&self) -> Result<WebLink> {
        let (stream, domain, tls): (Box<dyn Stream>, &str, bool) = match self {
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(|e| self.not_connected(&e))?;
                (Box::new(stream), "arbour", false)
            }
            Self::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|e| self.not_connected(&e))?;
                // Keystrokes and deltas are small and must not wait for each other.
                stream.set_nodelay(true).map_err(|e| self.not_connected(&e))?;
                (Box::new(stream), host.as_str(), *tls)
            }
        };
        let authority = if domain.contains(':') { format!("[{domain}]") } else { domain.to_owned() };
        let mut request = format!("{}://{authority}/", if tls { "wss" } else { "ws" })
            .into_client_request()
            .map_err(|e| Error::new(Kind::Usage, format!("{self} cannot be used as an address.")).cause(e))?;
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default().max_message_size(Some(MAX_FRAME)).max_frame_size(Some(MAX_FRAME));
        let connector = if tls { Connector::Rustls(tls_config()?) } else { Connector::Plain };
        let (socket, _) =
            client_async_tls_with_config(request, stream, Some(config), Some(connector)).await.map_err(|e| self.no_handshake(tls, e))?;
        let silence = matches!(self, Self::Tcp { .. }).then_some(SILENCE);
        let (sink, stream) = socket.split();
        Ok(WebLink { sender: WebSender(sink), receiver: WebReceiver { stream, silence } })
    }

    fn not_connected(&self, e: &std::io::Error) -> Error {
        use std::io::ErrorKind as Io;
        let (kind, message) = match e.kind() {
            Io::ConnectionRefused => (Kind::Refused, format!("Nobody listens at {self}.")),
            Io::NotFound if matches!(self, Self::Unix(_)) => (Kind::Refused, format!("Nobody listens at {self}: there is no such socket.")),
            Io::PermissionDenied => (Kind::Unauthorized, format!("{self} belongs to another user.")),
            _ => (Kind::Unreachable, format!("{self} cannot be reached.")),
        };
        Error::new(kind, message).hint("Check the address, and that `arbour serve` runs there.").cause(e)
    }

    fn no_handshake(&self, tls: bool, e: tungstenite::Error) -> Error {
        match &e {
            tungstenite::Error::Io(io) if tls && io.kind() == std::io::ErrorKind::InvalidData => {
                Error::new(Kind::Tls, format!("The certificate of {self} is not trusted, or it does not speak TLS."))
                    .hint("Use an address that the certificate names, or add its authority to the system's.")
                    .cause(e)
            }
            tungstenite::Error::Tls(_) => Error::new(Kind::Tls, format!("No TLS connection to {self} could be made.")).cause(e),
            tungstenite::Error::Http(response) if matches!(response.status().as_u16(), 401 | 403) => {
                Error::new(Kind::Unauthorized, format!("{self} does not let this client in.")).cause(response.status())
            }
            tungstenite::Error::Http(response) => {
                Error::new(Kind::Malformed, format!("What answers at {self} is not an arbour host.")).cause(response.status())
            }
            tungstenite::Error::Io(_) | tungstenite::Error::Protocol(ProtocolError::HandshakeIncomplete) => {
                Error::new(Kind::Disconnected, format!("{self} closed the connection at once.")).cause(e)
            }
            _ => Error::new(Kind::Malformed, format!("What answers at {self} is not an arbour host.")).cause(e),
        }
    }
}

/// The system's certificate authorities, with the bundled ones where the system has none.
fn tls_config() -> Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
    }
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new(Kind::Tls, "TLS cannot be used.").cause(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

type Socket = WebSocketStream<tokio_tungstenite::MaybeTlsStream<Box<dyn Stream>>>;

/// A standing WebSocket.
pub(super) struct WebLink {
    pub(super) sender: WebSender,
    pub(super) receiver: WebReceiver,
}

pub(super) struct WebSender(SplitSink<Socket, Message>);

impl WebSender {
    pub(super) async fn send(&mut self, frame: &ClientFrame) -> Result<()> {
        self.0.send(Message::Binary(encode(frame).into())).await.map_err(broken)
    }

    pub(super) async fn close(&mut self) {
        // The host may be gone already.
        drop(self.0.close().await);
    }
}

pub(super) struct WebReceiver {
    stream: SplitStream<Socket>,
    /// After this long without a sign of life the link counts as dead.
    silence: Option<Duration>,
}

impl WebReceiver {
    pub(super) async fn receive(&mut self) -> Result<HostFrame> {
        loop {
            let message = match self.silence {
                Some(silence) => tokio::time::timeout(silence, self.stream.next())
                    .await
                    .map_err(|_| Error::new(Kind::Disconnected, format!("Nothing was heard of the host for {} s.", silence.as_secs())))?,
                None => self.stream.next().await,
            };
            match message {
                Some(Ok(Message::Binary(bytes))) => return decode(&bytes),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => return Err(Error::new(Kind::Malformed, "What answers there is not an arbour host.")),
                Some(Ok(Message::Close(_))) | None => {
                    return Err(Error::new(Kind::HostGone, "The host ended the connection; what it acknowledged is saved."));
                }
                Some(Err(e)) => return Err(broken(e)),
            }
        }
    }
}

fn broken(e: tungstenite::Error) -> Error {
    match &e {
        tungstenite::Error::Capacity(_) => {
            Error::new(Kind::Malformed, format!("The host sent a message of more than {} MB.", MAX_FRAME >> 20)).cause(e)
        }
        _ => Error::new(Kind::HostGone, "The connection to the host broke; what it acknowledged is saved.").cause(e),
    }
}

impl Client {
    /// Attaches to a host at an address. When the link breaks it is looked for again.
    ///
    /// # Errors
    /// Why the host was not reached, or why it does not let this client in.
    pub async fn to(address: Address, introduction: Introduction) -> Result<Self> {
        Self::attach(Road::new(Way::To(address), introduction)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_written() {
        let tcp = |host: &str, port, tls| Address::Tcp { host: host.to_owned(), port, tls };
        for (text, expected) in [
            ("ws://box:7717", tcp("box", 7717, false)),
            ("ws://box", tcp("box", PORT, false)),
            ("wss://box.example/", tcp("box.example", 443, true)),
            ("ws://[::1]:80", tcp("::1", 80, false)),
            ("unix:/run/a/s", Address::Unix("/run/a/s".into())),
            ("unix:///run/a/s", Address::Unix("/run/a/s".into())),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address, expected, "{text}");
            assert_eq!(Address::parse(&address.to_string()).unwrap(), expected);
        }
        for text in ["", "box", "http://box", "ws://", "ws://box:99999", "ws://a b", "ws://user@box", "unix:relative", "ws://box/path"] {
            assert_eq!(Address::parse(text).unwrap_err().kind, Kind::Usage, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_host_is_said() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        for (scheme, words, kind) in [
            ("ws", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Kind::Malformed),
            ("ws", "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", Kind::Unauthorized),
            ("ws", "SSH-2.0-OpenSSH_9.2\r\n\r\n", Kind::Malformed),
            ("ws", "", Kind::Disconnected),
            ("wss", "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", Kind::Tls),
        ] {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = Address::parse(&format!("{scheme}://{}", listener.local_addr().unwrap())).unwrap();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(words.as_bytes()).await;
            });
            let error = Client::to(address, Introduction::default()).await.unwrap_err();
            assert_eq!(error.kind, kind, "{scheme} {words:?}: {error:?}");
            server.await.unwrap();
        }
    }

    #[tokio::test]
    async fn nobody_there_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix(folder.path().join("s"));
        assert_eq!(Client::to(address, Introduction::default()).await.unwrap_err().kind, Kind::Refused);
    }
}
