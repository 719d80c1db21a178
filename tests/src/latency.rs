//! A store that is far away: a way to a server on which every byte takes its time.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
    task::JoinHandle,
    time::Instant,
};

/// Pieces under way in one direction of a connection; each is up to [`PIECE`] bytes.
const UNDER_WAY: usize = 256;
const PIECE: usize = 64 << 10;

/// Listens on loopback and passes everything on, late. Bandwidth is not limited. Ends when dropped.
#[derive(Debug)]
pub struct Distance {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Distance {
    /// In front of a server; a request and its answer take `round_trip` longer. Runs on the caller's runtime.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(server: SocketAddr, round_trip: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server, round_trip / 2));
            }
        });
        Ok(Self { address, task })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Distance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(client: TcpStream, server: SocketAddr, delay: Duration) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    // What waits for more to send would add a delay of its own.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::join!(pass_on(from_client, to_server, delay), pass_on(from_server, to_client, delay));
}

/// Each piece arrives `delay` after it was sent, however many are under way.
async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let read = async move {
        let mut buffer = vec![0; PIECE];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if sender.send((Instant::now() + delay, buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, piece)) = receiver.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(read, write);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_arrive_late_and_whole() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let distance = Distance::to(server.local_addr().unwrap(), Duration::from_millis(60)).await.unwrap();
        let echo = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
        });
        let mut client = TcpStream::connect(distance.address()).await.unwrap();
        let sent: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
        let (started, mut received) = (Instant::now(), vec![0; sent.len()]);
        let (mut read, mut write) = client.split();
        let (wrote, got) = tokio::join!(write.write_all(&sent), read.read_exact(&mut received));
        wrote.unwrap();
        got.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(60), "{:?}", started.elapsed());
        assert_eq!(received, sent);
        drop(client);
        echo.await.unwrap();
    }
}
