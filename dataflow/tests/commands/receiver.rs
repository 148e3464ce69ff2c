//! A receiver of alerts, as somebody else would write it: it checks the signature with a hash of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value as Json;

/// What the receivers of these tests share with the job, as `webhook.secret`.
pub const SECRET: &str = "a word between us";

/// A request: its id and its body.
#[derive(Clone, Debug, PartialEq)]
pub struct Came {
    pub id: String,
    pub body: String,
}

impl Came {
    pub fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Every transition that it tells: id, status, severity.
    pub fn transitions(&self) -> Vec<(String, String, String)> {
        let body = self.json();
        let lone = [body.clone()];
        let all = body["incidents"].as_array().map_or(&lone[..], Vec::as_slice);
        let text = |one: &Json, name: &str| one[name].as_str().unwrap().to_owned();
        all.iter().map(|one| (text(one, "id"), text(one, "status"), text(one, "severity"))).collect()
    }
}

/// What a request is answered: a status, or nothing for ever.
pub type Answer = Box<dyn FnMut(usize, &Came) -> Option<u16> + Send>;

pub struct Receiver {
    pub url: String,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Receiver {
    /// Listens at `address`; `answer` is asked with the number of the request, from 0.
    pub fn start(address: &str, mut answer: Answer) -> Receiver {
        let listener = TcpListener::bind(address).unwrap();
        let url = format!("http://{}/alerts", listener.local_addr().unwrap());
        let came = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&came);
        std::thread::spawn(move || {
            let mut hung = Vec::new();
            for (number, stream) in listener.incoming().enumerate() {
                let mut reader = BufReader::new(stream.unwrap());
                let Some(one) = read(&mut reader) else { continue };
                log.lock().unwrap_or_else(PoisonError::into_inner).push(one.clone());
                match answer(number, &one) {
                    None => hung.push(reader),
                    Some(status) => {
                        let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
                        let _ = reader.get_mut().write_all(head.as_bytes()); // whoever asked may have been killed
                    }
                }
            }
        });
        Receiver { url, came }
    }

    /// Takes everything.
    pub fn willing() -> Receiver {
        Receiver::start("127.0.0.1:0", Box::new(|_, _| Some(200)))
    }

    pub fn came(&self) -> Vec<Came> {
        self.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many requests came.
    pub fn wait(&self, count: usize) {
        let began = Instant::now();
        while self.came().len() < count {
            assert!(began.elapsed() < Duration::from_secs(60), "{} of {count} requests came", self.came().len());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// `None`: it was broken off.
fn read(reader: &mut BufReader<TcpStream>) -> Option<Came> {
    let (mut headers, mut line) = (Vec::new(), String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        if line.trim().is_empty() {
            break;
        }
        headers.extend(line.trim().split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())));
    }
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let (id, body) = (header("webhook-id").unwrap(), String::from_utf8(body).unwrap());
    assert_eq!(header("idempotency-key").as_ref(), Some(&id));
    let signed = format!("{id}.{}.{body}", header("webhook-timestamp").unwrap());
    let expected = format!("v1,{}", base64(&hmac(SECRET.as_bytes(), signed.as_bytes())));
    assert_eq!(header("webhook-signature"), Some(expected));
    Some(Came { id, body })
}

fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let padded = |pad: u8, rest: &[u8]| sha256(&[&block.map(|byte| byte ^ pad)[..], rest].concat());
    padded(0x5c, &padded(0x36, text))
}

/// FIPS 180-4, with its constants taken from the primes as it says.
fn sha256(text: &[u8]) -> [u8; 32] {
    let primes: Vec<u32> = (2..312).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
    let fraction = |root: f64| ((root - root.floor()) * 4_294_967_296.0) as u32;
    let k: Vec<u32> = primes.iter().map(|prime| fraction(f64::from(*prime).cbrt())).collect();
    let mut hash: Vec<u32> = primes.iter().take(8).map(|prime| fraction(f64::from(*prime).sqrt())).collect();
    let mut message = text.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((text.len() as u64 * 8).to_be_bytes());
    for block in message.chunks(64) {
        let mut w: Vec<u32> = block.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
        for t in 16..64 {
            let s0 = w[t - 15].rotate_right(7) ^ w[t - 15].rotate_right(18) ^ (w[t - 15] >> 3);
            let s1 = w[t - 2].rotate_right(17) ^ w[t - 2].rotate_right(19) ^ (w[t - 2] >> 10);
            w.push(w[t - 16].wrapping_add(s0).wrapping_add(w[t - 7]).wrapping_add(s1));
        }
        let mut v = hash.clone();
        for t in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let chosen = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let first = [s1, chosen, k[t], w[t]].into_iter().fold(v[7], u32::wrapping_add);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let most = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
            v.rotate_right(1);
            v[4] = v[4].wrapping_add(first);
            v[0] = first.wrapping_add(s0).wrapping_add(most);
        }
        hash.iter_mut().zip(v).for_each(|(sum, more)| *sum = sum.wrapping_add(more));
    }
    let bytes: Vec<u8> = hash.iter().flat_map(|word| word.to_be_bytes()).collect();
    bytes.try_into().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    let letters: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = letters[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    text
}
