//! Against a server of a few lines.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;

/// Answers each request with the next of `answers` and hands over what came; gives the address. An empty answer is none at all: the
/// connection stays open and silent.
fn server(answers: &'static [&'static str]) -> (String, Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hooks/secret-path", listener.local_addr().unwrap());
    let (came, comes) = channel();
    std::thread::spawn(move || {
        let mut hung = Vec::new();
        for answer in answers {
            let mut reader = BufReader::new(listener.accept().unwrap().0);
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(number) = line.strip_prefix("content-length: ") {
                    length = number.trim().parse().unwrap();
                }
                head += &line;
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let _ = came.send((head, String::from_utf8(body).unwrap()));
            if answer.is_empty() {
                hung.push(reader);
            } else {
                reader.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
        // The silent ones stay open as long as the test lives.
        std::thread::park();
    });
    (url, comes)
}

fn open(url: &str) -> Webhook {
    let settings = WebhookSettings {
        url: url.to_owned(),
        headers: BTreeMap::from([("Authorization".to_owned(), "Bearer x".to_owned())]),
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        timeout: Duration::from_millis(300),
    };
    Webhook::open(&settings).unwrap()
}

#[test]
fn an_alert_arrives_signed() {
    let (url, comes) = server(&["HTTP/1.1 204 x\r\nconnection: close\r\n\r\n"]);
    let webhook = open(&url);
    let sent = webhook.send("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#, 1_614_265_330);
    assert_eq!(sent, Attempt::Arrived);
    let (head, body) = comes.recv().unwrap();
    assert_eq!(body, r#"{"test": 2432232314}"#);
    assert!(head.starts_with("POST /hooks/secret-path HTTP/1.1\r\n"), "{head}");
    for line in [
        "content-type: application/json",
        "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
        "idempotency-key: msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp: 1614265330",
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "authorization: Bearer x",
    ] {
        assert!(head.contains(&format!("{line}\r\n")), "no {line:?} in {head}");
    }
    assert!(!webhook.place().contains("secret"), "{}", webhook.place());
}

#[test]
fn what_passes_is_told_from_what_is_final() {
    let (url, _comes) = server(&[
        "HTTP/1.1 500 x\r\nconnection: close\r\ncontent-length: 4\r\n\r\nbusy",
        "HTTP/1.1 429 x\r\nconnection: close\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 x\r\nconnection: close\r\nretry-after: 999999\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 422 x\r\nconnection: close\r\ncontent-length: 7\r\n\r\nno\n\u{1b}[2J",
        "HTTP/1.1 302 x\r\nconnection: close\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        "",
    ]);
    let webhook = open(&url);
    let send = || webhook.send("a", "{}", 0);
    let failed = |why: &str, pause: Option<u64>| Attempt::Failed {
        why: why.to_owned(),
        retry_after: pause.map(Duration::from_secs),
    };
    assert_eq!(send(), failed("it answered 500: busy", None));
    assert_eq!(send(), failed("it answered 429", Some(7)));
    assert_eq!(send(), failed("it answered 503", Some(3_600)));
    assert_eq!(send(), Attempt::Refused { why: "it answered 422: no  [2J".to_owned() });
    assert_eq!(send(), Attempt::Refused { why: "it answered 302".to_owned() });
    let hung = send();
    assert!(matches!(&hung, Attempt::Failed { why, .. } if why.contains("timed out")), "{hung:?}");
    let gone = open("http://127.0.0.1:1/x/secret-path").send("a", "{}", 0);
    let Attempt::Failed { why, .. } = &gone else { panic!("{gone:?}") };
    assert!(why.contains("refused") && !why.contains("secret"), "{why}");
}

#[test]
fn settings_that_nobody_can_mean() {
    let good = WebhookSettings {
        url: "http://localhost:9/x".to_owned(),
        timeout: Duration::from_secs(1),
        ..WebhookSettings::default()
    };
    let said = |change: &dyn Fn(&mut WebhookSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        Webhook::open(&settings).err().map_or_else(|| "fine".to_owned(), |error| error.to_string())
    };
    let header = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let seen = [
        said(&|_| {}),
        said(&|settings| "hooks.example/x".clone_into(&mut settings.url)),
        said(&|settings| "https://hooks.example/x".clone_into(&mut settings.url)),
        said(&|settings| "ftp://hooks.example/x".clone_into(&mut settings.url)),
        said(&|settings| "http://me:hunter2@hooks.example/x".clone_into(&mut settings.url)),
        said(&|settings| settings.timeout = Duration::ZERO),
        said(&|settings| settings.headers = header("a b", "x")),
        said(&|settings| settings.headers = header("X-Token", "hunter2\n")),
        said(&|settings| settings.headers = header("Webhook-Id", "x")),
        said(&|settings| "whsec_hunter2".clone_into(&mut settings.secret)),
    ];
    expect_test::expect![[r#"
        fine
        setting "webhook.url" is no address: relative URL without a base
        setting "webhook.url" asks for https, which this build does not have; a proxy beside the job can speak it
        setting "webhook.url" is none of http://HOST[:PORT]/PATH
        setting "webhook.url" holds a user; a header "authorization" is the place for it
        setting "webhook.timeout" is 0, so that nothing could ever arrive
        setting "webhook.headers.a b" is no name of a header
        setting "webhook.headers.X-Token" has a value that no header has
        setting "webhook.headers.Webhook-Id" is a header that the job sets itself
        setting "webhook.secret" begins with whsec_, but what follows is no base64
    "#]]
    .assert_eq(&(seen.join("\n") + "\n"));
}
