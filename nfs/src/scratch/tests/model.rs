//! Random operations against a model in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// One of a few names in one of a few folders, so that operations meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    folder: usize,
    name: u8,
}

#[derive(Debug, Clone)]
enum Step {
    Create(Place),
    Write(Place, u16, Vec<u8>),
    Truncate(Place, u16),
    Read(Place, u16, u16),
    Rename(Place, Place),
    Remove(Place),
    Restart,
}

fn place() -> impl Strategy<Value = Place> {
    (0..3_usize, 0..4_u8).prop_map(|(folder, name)| Place { folder, name })
}

fn step() -> impl Strategy<Value = Step> {
    let data = prop::collection::vec(any::<u8>(), 0..2000);
    prop_oneof![
        3 => place().prop_map(Step::Create),
        6 => (place(), 0..9000_u16, data).prop_map(|(place, offset, data)| Step::Write(place, offset, data)),
        3 => (place(), 0..9000_u16).prop_map(|(place, size)| Step::Truncate(place, size)),
        4 => (place(), 0..9000_u16, 0..9000_u16).prop_map(|(place, offset, count)| Step::Read(place, offset, count)),
        3 => (place(), place()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => place().prop_map(Step::Remove),
        1 => Just(Step::Restart),
    ]
}

struct World {
    root: tempfile::TempDir,
    options: Options,
    scratch: Option<Scratch>,
    folders: Vec<Folder>,
    files: BTreeMap<Place, (Id, Vec<u8>)>,
    gone: Vec<Id>,
}

impl World {
    async fn new(ownership: Ownership) -> Self {
        let root = tempfile::tempdir().unwrap();
        let options = Options {
            open_files: 2,
            ..options(ownership)
        };
        let scratch = Scratch::open(root.path().join("scratch"), options.clone()).unwrap();
        let outer = scratch.make_folder(&orders(), "outer").await;
        let inner = scratch.make_folder(&outer, "inner").await;
        Self {
            root,
            options,
            scratch: Some(scratch),
            folders: vec![orders(), outer, inner],
            files: BTreeMap::new(),
            gone: Vec::new(),
        }
    }

    async fn take_step(&mut self, step: Step) {
        let scratch = self.scratch.clone().unwrap();
        let name = |place: Place| [b'f', b'0' + place.name];
        match step {
            Step::Create(place) => {
                let how = createhow3::GUARDED(mode(0o644));
                let made = scratch
                    .create(&user(), &self.folders[place.folder], &name(place), how)
                    .await;
                match self.files.get(&place) {
                    Some(_) => assert_eq!(made.result.unwrap_err(), Status::NFS3ERR_EXIST),
                    None => drop(self.files.insert(place, (made.result.unwrap().id, Vec::new()))),
                }
            }
            Step::Write(place, offset, data) => {
                let Some((id, bytes)) = self.files.get_mut(&place) else {
                    return;
                };
                scratch.put(*id, offset.into(), &data).await.result.unwrap();
                let end = usize::from(offset) + data.len();
                if !data.is_empty() {
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[offset.into()..end].copy_from_slice(&data);
                }
            }
            Step::Truncate(place, to) => {
                let Some((id, bytes)) = self.files.get_mut(&place) else {
                    return;
                };
                let effect = scratch.set_attributes(&user(), *id, size(to.into()), None).await;
                effect.result.unwrap();
                bytes.resize(to.into(), 0);
            }
            Step::Read(place, offset, count) => {
                let Some((id, bytes)) = self.files.get(&place) else {
                    return;
                };
                let part = scratch.read(*id, offset.into(), count.into()).await.unwrap();
                let start = bytes.len().min(offset.into());
                let end = bytes.len().min(start + usize::from(count));
                assert_eq!(part.data.to_vec(), bytes[start..end]);
                assert_eq!(part.end, usize::from(offset) + part.data.len() >= bytes.len());
            }
            Step::Rename(from, to) => {
                let (folder, target) = (&self.folders[from.folder], &self.folders[to.folder]);
                let (effect, _) = scratch.rename((folder, &name(from)), (target, &name(to))).await;
                match self.files.remove(&from) {
                    None => assert_eq!(effect.result, Err(Status::NFS3ERR_NOENT)),
                    Some(file) => {
                        effect.result.unwrap();
                        let replaced = self.files.insert(to, file);
                        self.gone.extend(replaced.map(|(id, _)| id));
                    }
                }
            }
            Step::Remove(place) => {
                let effect = scratch.remove(&self.folders[place.folder], &name(place)).await;
                match self.files.remove(&place) {
                    None => assert_eq!(effect.result, Err(Status::NFS3ERR_NOENT)),
                    Some((id, _)) => self.gone.push(id),
                }
            }
            Step::Restart => {
                drop(scratch);
                self.scratch = None;
                let opened = Scratch::open(self.root.path().join("scratch"), self.options.clone());
                self.scratch = Some(opened.unwrap());
            }
        }
    }

    async fn check(&self) {
        let scratch = self.scratch.as_ref().unwrap();
        let mut total = 0;
        for (place, (id, bytes)) in &self.files {
            assert_eq!(scratch.bytes(*id).await, *bytes);
            let found = scratch
                .lookup(&self.folders[place.folder], &[b'f', b'0' + place.name])
                .await;
            let found = found.unwrap();
            assert_eq!((found.id, found.attributes.size), (*id, bytes.len() as u64));
            assert_eq!(std::fs::read(scratch.path(*id).await.unwrap()).unwrap(), *bytes);
            total += bytes.len() as u64;
        }
        let usage = scratch.usage();
        assert_eq!((usage.bytes, usage.objects), (total, self.files.len() as u64 + 2));
        for id in &self.gone {
            assert_eq!(scratch.attributes(*id).await.unwrap_err(), Status::NFS3ERR_STALE);
        }
        for (number, folder) in self.folders.iter().enumerate() {
            let listed = scratch.list(folder, true).await.unwrap();
            let files = listed.iter().filter(|listed| listed.name.starts_with(b"f")).count();
            assert_eq!(files, self.files.keys().filter(|place| place.folder == number).count());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_the_model(steps in prop::collection::vec(step(), 1..120), host in any::<bool>()) {
        let ownership = if host { ownerships().pop().unwrap() } else { Ownership::Recorded };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(ownership).await;
            for step in steps {
                world.take_step(step).await;
            }
            world.check().await;
        });
    }
}

/// Writers, readers, renamers and removers at once: nothing is lost, and what is counted at the end is what is there.
#[test]
fn many_at_once() {
    let root = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let scratch = Scratch::open(
            root.path().join("scratch"),
            Options {
                open_files: 4,
                ..options(Ownership::Recorded)
            },
        );
        let scratch = scratch.unwrap();
        let mut tasks = Vec::new();
        for task in 0..8_u8 {
            let scratch = scratch.clone();
            tasks.push(tokio::spawn(async move {
                for round in 0..50_u8 {
                    let (own, shared) = (format!("own-{task}"), format!("shared-{}", round % 3));
                    let id = scratch.make(&orders(), &own).await;
                    scratch.put(id, 0, &[task; 5000]).await.result.unwrap();
                    // Whoever comes last has the name; the others' files are gone.
                    let renamed = scratch
                        .rename((&orders(), own.as_bytes()), (&orders(), shared.as_bytes()))
                        .await;
                    renamed.0.result.unwrap();
                    match scratch.put(id, 5000, &[task; 100]).await.result {
                        Ok(_) | Err(Status::NFS3ERR_STALE) => {}
                        Err(status) => panic!("{status}"),
                    }
                    scratch.list(&orders(), true).await.unwrap();
                    if round % 7 == 0 {
                        let _ = scratch.remove(&orders(), shared.as_bytes()).await;
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let usage = scratch.usage();
        drop(scratch);
        let scratch = open(root.path(), Ownership::Recorded);
        assert_eq!(scratch.usage(), usage);
    });
}
