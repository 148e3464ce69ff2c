use super::*;

fn records(count: u32) -> Vec<Record> {
    (0..count)
        .map(|n| Record {
            series: u64::from(n) * 0x9E37_79B9,
            ts: -5 + i64::from(n),
            value: f64::from(n) / 3.0,
            offset: i64::from(n) * 2,
            partition: n % 3,
            route: !n,
        })
        .collect()
}

/// A path of its own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        Scratch(std::env::temp_dir().join(format!("plenum-cache-{}-{test}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn layouts() -> Vec<Layout> {
    vec![
        Layout::Rkyv,
        #[cfg(feature = "abomonation")]
        Layout::Abomonation,
    ]
}

#[test]
fn what_was_stored_is_loaded() {
    let source = Source::of(b"recording");
    for layout in layouts() {
        let path = Scratch::new(&format!("round-{}", layout.number()));
        for count in [0, 1, 1000] {
            let wanted = records(count);
            store(&path.0, layout, source, &wanted).expect("it can be written");
            let mut loaded = load(&path.0, layout, source).expect("it is the same");
            assert_eq!(loaded.view().iter().collect::<Vec<_>>(), wanted, "{layout:?}");
            assert_eq!(loaded.view().is_empty(), count == 0, "a second view is the same");
        }
    }
}

#[test]
fn any_flipped_bit_and_any_cut_is_a_miss() {
    let source = Source::of(b"recording");
    for layout in layouts() {
        let path = Scratch::new(&format!("flip-{}", layout.number()));
        store(&path.0, layout, source, &records(3)).expect("it can be written");
        let whole = fs::read(&path.0).expect("it is there");
        let read = |bytes: &[u8]| read(bytes, bytes.len() as u64, layout, source);
        read(&whole).expect("it is whole");
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 1 << (at % 8);
            read(&broken).expect_err("a bit is flipped");
            read(&whole[..at]).expect_err("the end is missing");
        }
        let longer = [&whole[..], b"x"].concat();
        assert!(matches!(read(&longer), Err(Miss::Other("length"))), "there is more behind it");
    }
}

#[test]
fn another_recording_is_decoded_again_and_then_cached() {
    let path = Scratch::new("again");
    let (old, new) = (Source::of(b"old"), Source::of(b"new"));
    store(&path.0, Layout::Rkyv, old, &records(2)).expect("it can be written");
    let decode = || Ok::<_, io::Error>(records(5));
    let (mut seen, miss) = load_or_decode(&path.0, Layout::Rkyv, new, decode).expect("it is decoded");
    assert_eq!((seen.view().len(), miss.expect("a miss").to_string()), (5, "cache has another source".to_owned()));
    let never = || Err(io::Error::other("it is in the cache"));
    let (mut seen, miss) = load_or_decode(&path.0, Layout::Rkyv, new, never).expect("it is loaded");
    assert_eq!((seen.view().iter().collect::<Vec<_>>(), miss.is_none()), (records(5), true));
}

#[cfg(feature = "abomonation")]
#[test]
fn one_layout_is_never_read_as_the_other() {
    let path = Scratch::new("cross");
    let source = Source::of(b"recording");
    store(&path.0, Layout::Abomonation, source, &records(2)).expect("it can be written");
    assert!(matches!(load(&path.0, Layout::Rkyv, source), Err(Miss::Other("layout"))));
}
