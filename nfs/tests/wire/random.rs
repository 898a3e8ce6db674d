//! The properties that fuzz targets look at, over seeded bytes: noise, and calls that were good before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use posixlake_nfs::FileSystem;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore, SeedableRng};

use crate::support::memory::Memory;
use crate::support::{MOUNT, NFS, call, opaque, record, root, words};

#[path = "../support/decoding.rs"]
mod decoding;
#[path = "../support/differences.rs"]
mod differences;

fn good_arguments(random: &mut StdRng) -> (u32, Vec<u8>) {
    let names: [&[u8]; 6] = [b"a", b"b", b"data.csv", b".", b"..", b""];
    let file = opaque(&[&b"memory01\0\0\0\0\0\0\0"[..], &[random.random_range(0..5)]].concat());
    let at = |random: &mut StdRng| [root(), opaque(names.choose(random).unwrap())].concat();
    let nothing = words(&[0; 6]);
    let number = random.random_range(0..22);
    let small = random.random_range(0..5000);
    let arguments = match number {
        0 => vec![],
        2 => [file, words(&[0, 0, 0, 1, 0, small, 0, 0, 0])].concat(),
        4 => [file, words(&[63])].concat(),
        6 => [file, words(&[0, small, small])].concat(),
        7 => [file, words(&[0, small, 5, 0]), opaque(b"hello")].concat(),
        8 => [at(random), words(&[0]), nothing].concat(),
        9 => [at(random), nothing].concat(),
        10 => [at(random), nothing, opaque(b"x")].concat(),
        11 => [at(random), words(&[7]), nothing].concat(),
        3 | 12 | 13 => at(random),
        14 => [at(random), at(random)].concat(),
        15 => [root(), at(random)].concat(),
        16 => [root(), words(&[0, 0, 0, 0, small])].concat(),
        17 => [root(), words(&[0, 0, 0, 0, small, small])].concat(),
        21 => [file, words(&[0, 0, 0])].concat(),
        _ => file,
    };
    (number, arguments)
}

fn good(random: &mut StdRng) -> Vec<u8> {
    let xid = random.random_range(0..50);
    match random.random_range(0..10) {
        0 => record(&call(xid, MOUNT, 3, random.random_range(0..6), &opaque(b"/"))),
        1 => record(&call(xid, 100_000, 2, 3, &words(&[NFS, 3, 6, 0]))),
        _ => {
            let (number, arguments) = good_arguments(random);
            record(&call(xid, NFS, 3, number, &arguments))
        }
    }
}

fn spoil(random: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(0..3) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        match random.random_range(0..5) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, [0xff; 4])),
            3 => {
                let word = at / 4 * 4;
                let value = [0, 1, 0x7fff_ffff, u32::MAX, random.next_u32()];
                for (byte, value) in bytes[word..]
                    .iter_mut()
                    .zip(value.choose(random).unwrap().to_be_bytes())
                {
                    *byte = value;
                }
            }
            _ => bytes[at] = random.random(),
        }
    }
}

fn noise(random: &mut StdRng) -> Vec<u8> {
    let mut bytes = vec![0; random.random_range(0..300)];
    random.fill_bytes(&mut bytes);
    bytes
}

#[tokio::test]
async fn anything_may_come() {
    let mut random = StdRng::seed_from_u64(20_260_101);
    let begun = Instant::now();
    let mut turns = 0;
    while begun.elapsed() < Duration::from_secs(4) {
        turns += 1;
        let mut bytes = noise(&mut random);
        decoding::records(&bytes);
        decoding::head(&bytes);
        decoding::arguments(&bytes);

        let (number, mut arguments) = good_arguments(&mut random);
        spoil(&mut random, &mut arguments);
        decoding::arguments(&[&[u8::try_from(number).unwrap()], &arguments[..]].concat());

        let mut stream = Vec::new();
        for _ in 0..random.random_range(1..8) {
            let mut one = good(&mut random);
            if random.random_bool(0.3) {
                spoil(&mut random, &mut one);
            }
            stream.append(&mut one);
        }
        decoding::head(stream.get(4..).unwrap_or_default());
        bytes.truncate(1);
        bytes.extend_from_slice(&stream);
        decoding::records(&bytes);
        let files = Memory::default();
        files.put("data.csv", b"id,name\n1,a\n".to_vec());
        let files: Arc<dyn FileSystem> = Arc::new(files);
        decoding::conversation(Arc::clone(&files), &stream).await;
        decoding::conversation(files, &decoding::stream_of_calls(&noise(&mut random))).await;
    }
    assert!(turns > 100, "{turns}");
}

/// Texts of a few letters, and edits of them.
#[test]
fn any_two_texts_are_compared() {
    let mut random = StdRng::seed_from_u64(7);
    for _ in 0..200 {
        let mut text = |length| -> Vec<u8> {
            let letters = b"aab,,\n\n\n\"\r1";
            (0..length).map(|_| *letters.choose(&mut random).unwrap()).collect()
        };
        let (base, other, head) = (text(200), text(6), [random.random(), random.random()]);
        let mut new = base.clone();
        let at = random.random_range(0..new.len());
        let end = (at + random.random_range(0..9)).min(new.len());
        new.splice(at..end, other);
        differences::differences(&[&head[..], &base, &[0xff], &new].concat());
    }
}
