//! The process keeps to the memory and the CPU time that it may take, by slowing down.
//!
//! **What is held back.** Over its CPU time, files are not read, and OTLP exports wait before they are read, some seconds
//! at most; then they are told to try again. Near its memory they are told so at once, and files are not read either. All
//! else goes on: what is on its way, its acknowledgements, positions, metrics, stopping. So memory comes back, and nothing
//! waits for what is held back.
//!
//! **Files never for good.** A process that takes more than its limits without any of this still reads a little of them
//! every second. Senders of OTLP keep what they have, and try again.
//!
//! Before memory is near, `Bounds` keep what may be on its way at once to what it leaves.

mod bounds;
mod bucket;
mod memory;
mod options;
mod spell;

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub(crate) use self::bounds::{Bounds, Windows};
use self::bucket::Bucket;
use self::memory::{Answer, Memory};
pub use self::options::{Cores, CoresError, LimitOptions};
use self::spell::Spell;

/// Held back for so long, something is let through.
const PATIENCE: Duration = Duration::from_secs(1);
/// An export waits for its turn so long, at most: its sender would give up after ten seconds, as a rule, and what was
/// done for it would be for nothing.
const IN_LINE: Duration = Duration::from_secs(5);
/// Between two exports that waited: what the first one costs can be seen then.
const STEP: Duration = Duration::from_millis(1);
/// How long exports that wait for CPU time are kept though memory may be full.
const LOOK: Duration = Duration::from_millis(100);
/// Memory that one reading of a file takes, about: a buffer, and the room of a batch.
const READING: u64 = 512 << 10;
/// How often it is seen whether the end of holding back is to be told.
const TELL: Duration = Duration::from_secs(10);

/// The limits of this process; without any, nothing is ever held back. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    bounds: Bounds,
    /// Missing where there is no memory limit, or no Linux.
    statm: Option<File>,
    state: Mutex<State>,
    /// Exports that wait go one by one, in order.
    turn: tokio::sync::Mutex<()>,
    /// Gives what is free back to the system.
    give_back: OnceLock<fn()>,
    /// Who waits for CPU time need not any more.
    stopping: CancellationToken,
}

/// Pure: it reads no clock and no file.
#[derive(Debug)]
struct State {
    cpu: Option<(Bucket, Spell)>,
    memory: Option<(Memory, Spell)>,
}

/// What holds back, and when to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    Cpu(Instant),
    Memory(Instant),
}

/// Memory is near its limit.
#[derive(Debug)]
pub(crate) struct Full;

/// Why an export is not let through.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Memory is near its limit.
    Full,
    /// More exports wait for CPU time than there is for them.
    Busy,
}

/// Of one who reads.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    limits: Limits,
    /// Held back since then.
    since: Option<Instant>,
}

impl Limits {
    /// The limits of these options; how long they held back is told through `meter`.
    pub(crate) fn new(options: &LimitOptions, meter: &Meter) -> Self {
        if *options == LimitOptions::default() {
            return Self::default();
        }
        let now = Instant::now();
        let statm = options.memory.and_then(|_| {
            File::open("/proc/self/statm")
                .inspect_err(
                    |error| tracing::warn!(%error, "memory in use cannot be seen: only what is on its way is limited"),
                )
                .ok()
        });
        let cpu = options.cpu.map(|cores| (Bucket::new(cores.0, now, cpu_time()), Spell::new("cpu")));
        let memory = options.memory.map(|memory| (Memory::new(memory.0), Spell::new("memory")));
        let inner = Arc::new(Inner {
            bounds: Bounds::of(options.memory),
            statm,
            state: Mutex::new(State { cpu, memory }),
            turn: tokio::sync::Mutex::default(),
            give_back: OnceLock::new(),
            stopping: CancellationToken::new(),
        });
        let told = inner.clone();
        let counter = meter.f64_observable_counter("weir_collector_limited").with_unit("s");
        counter
            .with_description("How long files and OTLP were held back to keep to collector.limits, by the limit")
            .with_callback(move |seen| {
                for (name, held) in told.state.lock().held_for(Instant::now()) {
                    seen.observe(held.as_secs_f64(), &[KeyValue::new("limit", name)]);
                }
            })
            .build();
        Self(Some(inner))
    }

    /// How memory that is free is given back to the system, when there is little left.
    pub(crate) fn give_back_by(&self, give_back: fn()) {
        if let Some(inner) = &self.0 {
            // Whoever comes first has said it.
            let _ = inner.give_back.set(give_back);
        }
    }

    /// How much may be on its way at once.
    pub(crate) fn bounds(&self) -> Bounds {
        self.0.as_ref().map_or(Bounds::UNLIMITED, |inner| inner.bounds)
    }

    /// For one who reads.
    pub(crate) fn turn(&self) -> Turn {
        Turn { limits: self.clone(), since: None }
    }

    /// Lets an export through, once there is CPU time for it.
    pub(crate) async fn pass(&self) -> Result<(), Closed> {
        let Some(inner) = &self.0 else { return Ok(()) };
        if inner.turn.try_lock().is_ok() && self.held(Instant::now(), 0).is_none() {
            return Ok(());
        }
        let _turn = tokio::time::timeout(IN_LINE, inner.turn.lock()).await.map_err(|_| Closed::Busy)?;
        let patience = Instant::now() + PATIENCE;
        let mut waited = false;
        loop {
            let now = Instant::now();
            let until = match self.held(now, 0) {
                Some(Held::Memory(_)) => return Err(Closed::Full),
                Some(Held::Cpu(until)) if now < patience && !inner.stopping.is_cancelled() => until,
                _ => break,
            };
            waited = true;
            // Memory may fill up meanwhile.
            let until = until.min(now + LOOK).min(patience);
            tokio::select! { () = tokio::time::sleep_until(until.into()) => {} () = inner.stopping.cancelled() => {} }
        }
        if waited {
            tokio::time::sleep(STEP).await;
        }
        Ok(())
    }

    /// Tells when holding back has ended, and ends all waiting for CPU time when it is stopped.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let Some(inner) = &self.0 else { return };
        while tokio::time::timeout(TELL, stop.cancelled()).await.is_err() {
            inner.state.lock().quiet(Instant::now());
        }
        inner.stopping.cancel();
    }

    /// Grants so many bytes of memory to an export, which takes them now.
    pub(crate) fn grant(&self, bytes: usize) -> Result<(), Full> {
        self.memory(|memory, now, resident| memory.grant(now, bytes as u64, resident))
    }

    /// Promises so many bytes of memory to an export; `false` where there is no limit, and nothing to be promised.
    pub(crate) fn promise(&self, bytes: usize) -> Result<bool, Full> {
        if self.0.as_ref().is_none_or(|inner| inner.statm.is_none()) {
            return Ok(false);
        }
        self.memory(|memory, now, resident| memory.promise(now, bytes as u64, resident)).map(|()| true)
    }

    /// So many of the promised bytes are taken now, and so many never will be.
    pub(crate) fn keep(&self, taken: usize, forgone: usize) {
        if let Some(inner) = self.0.as_ref().filter(|_| taken + forgone > 0)
            && let Some((memory, _)) = &mut inner.state.lock().memory
        {
            memory.keep(taken as u64, forgone as u64);
        }
    }

    fn memory(&self, ask: impl FnOnce(&mut Memory, Instant, &dyn Fn() -> u64) -> Answer) -> Result<(), Full> {
        let Some(inner) = &self.0 else { return Ok(()) };
        let now = Instant::now();
        let answer = inner.state.lock().memory(now, |memory| ask(memory, now, &|| inner.resident()));
        inner.act(answer.give_back);
        answer.full_until.map_or(Ok(()), |_| Err(Full))
    }

    /// What holds back somebody who wants so many bytes of memory.
    #[inline]
    fn held(&self, now: Instant, bytes: u64) -> Option<Held> {
        let inner = self.0.as_ref()?;
        let (held, give_back) = inner.state.lock().held(now, bytes, cpu_time, || inner.resident());
        inner.act(give_back);
        held
    }
}

impl Inner {
    fn act(&self, give_back: bool) {
        if let Some(how) = self.give_back.get().filter(|_| give_back) {
            how();
        }
    }

    /// Bytes in memory; none where they cannot be seen.
    fn resident(&self) -> u64 {
        let mut text = [0; 128];
        let length = self.statm.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()).unwrap_or_default();
        let pages = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.split(' ').nth(1)?.parse().ok());
        pages.unwrap_or(0_u64) * rustix::param::page_size() as u64
    }
}

impl State {
    fn held(
        &mut self,
        now: Instant,
        bytes: u64,
        used: impl FnOnce() -> Duration,
        resident: impl FnOnce() -> u64,
    ) -> (Option<Held>, bool) {
        if let Some((bucket, spell)) = &mut self.cpu {
            let until = bucket.full_until(now, used());
            spell.note(now, until);
            if let Some(until) = until {
                // Memory that nobody takes yet.
                let answer = self.memory(now, |memory| memory.grant(now, 0, resident));
                return (answer.full_until.map(Held::Memory).or(Some(Held::Cpu(until))), answer.give_back);
            }
        }
        let answer = self.memory(now, |memory| memory.grant(now, bytes, resident));
        (answer.full_until.map(Held::Memory), answer.give_back)
    }

    fn memory(&mut self, now: Instant, ask: impl FnOnce(&mut Memory) -> Answer) -> Answer {
        let Some((memory, spell)) = &mut self.memory else { return Answer { full_until: None, give_back: false } };
        let answer = ask(memory);
        spell.note(now, answer.full_until);
        answer
    }

    fn spells(&mut self) -> impl Iterator<Item = &mut Spell> {
        let cpu = self.cpu.iter_mut().map(|(_, spell)| spell);
        cpu.chain(self.memory.iter_mut().map(|(_, spell)| spell))
    }

    fn quiet(&mut self, now: Instant) {
        self.spells().for_each(|spell| spell.quiet(now));
    }

    fn held_for(&mut self, now: Instant) -> Vec<(&'static str, Duration)> {
        self.spells().map(|spell| (spell.limit(), spell.total(now))).collect()
    }
}

impl Turn {
    /// When to ask again, if nothing may be read now. While something `is_on_its_way`, memory is waited for, however long
    /// it takes: it comes back with it.
    pub(crate) fn held(&mut self, now: Instant, is_on_its_way: bool) -> Option<Instant> {
        let Some(held) = self.limits.held(now, READING) else {
            self.since = None;
            return None;
        };
        let patience = *self.since.get_or_insert(now) + PATIENCE;
        match held {
            Held::Memory(until) if is_on_its_way => Some(until),
            Held::Memory(until) | Held::Cpu(until) if now < patience => Some(until.min(patience)),
            _ => {
                self.since = None;
                None
            }
        }
    }
}

/// Of this process, of threads that ended too.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests;
