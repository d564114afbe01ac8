use super::*;

fn at(start: Instant, milliseconds: u64) -> Instant {
    start + Duration::from_millis(milliseconds)
}

#[test]
fn memory_is_told_before_cpu_time_and_both_are_counted() {
    let start = Instant::now();
    let cpu = (Bucket::new(0.5, start, Duration::ZERO), Spell::new("cpu"));
    let memory = (Memory::new(64), Spell::new("memory"));
    let mut state = State { cpu: Some(cpu), memory: Some(memory) };
    let mut held = |milliseconds, used, resident| {
        state.held(at(start, milliseconds), 0, || Duration::from_millis(used), || resident).0
    };
    assert_eq!(held(0, 0, 50), None);
    assert!(matches!(held(200, 300, 50), Some(Held::Cpu(_))));
    assert!(matches!(held(300, 350, 60), Some(Held::Memory(_))));
    assert_eq!(held(2000, 350, 50), None);
    let held = state.held_for(at(start, 3000));
    assert!(matches!(held[..], [("cpu", cpu), ("memory", memory)] if cpu > memory && !memory.is_zero()), "{held:?}");
}

/// A process that is over its limits whatever anybody does.
fn stuck(memory: bool) -> Limits {
    let now = Instant::now();
    let mut bucket = Bucket::new(0.001, now, Duration::ZERO);
    bucket.full_until(now, Duration::from_hours(1));
    let (cpu, memory) = if memory {
        (None, Some((Memory::new(1), Spell::new("memory"))))
    } else {
        (Some((bucket, Spell::new("cpu"))), None)
    };
    Limits(Some(Arc::new(Inner {
        bounds: Bounds::UNLIMITED,
        statm: File::open("/proc/self/statm").ok(),
        state: Mutex::new(State { cpu, memory }),
        turn: tokio::sync::Mutex::default(),
        give_back: OnceLock::new(),
        stopping: CancellationToken::new(),
    })))
}

#[test]
fn who_reads_is_let_through_once_a_second_unless_memory_will_come_back() {
    for memory in [true, false] {
        let passed = |is_on_its_way| {
            let (mut turn, start) = (stuck(memory).turn(), Instant::now());
            let passed = (0..50).filter(|tenths| turn.held(at(start, tenths * 100), is_on_its_way).is_none());
            passed.count()
        };
        assert_eq!(passed(true), if memory { 0 } else { 4 });
        assert_eq!(passed(false), 4);
    }
}

#[tokio::test]
async fn exports_wait_for_cpu_time_one_by_one_but_not_for_good_and_not_for_a_stop() {
    let limits = stuck(false);
    let came = Instant::now();
    limits.pass().await.unwrap();
    assert!(came.elapsed() >= PATIENCE);
    let passing: Vec<_> = std::iter::repeat_with(|| limits.clone()).take(60).collect();
    let passing = futures::future::join_all(passing.iter().map(Limits::pass));
    limits.0.as_ref().unwrap().stopping.cancel();
    let passed = tokio::time::timeout(60 * PATIENCE, passing).await.unwrap();
    assert!(passed.iter().all(Result::is_ok));
}

#[tokio::test]
async fn an_export_is_refused_for_memory() {
    assert_eq!(stuck(true).pass().await, Err(Closed::Full));
}

#[tokio::test]
async fn an_export_whose_turn_does_not_come_is_told_to_try_again_before_its_sender_gives_up() {
    let limits = stuck(false);
    let _turn = limits.0.as_ref().unwrap().turn.lock().await;
    let came = Instant::now();
    assert_eq!(limits.pass().await, Err(Closed::Busy));
    assert!(came.elapsed() < Duration::from_secs(6));
}

#[tokio::test]
async fn exports_that_meet_while_nothing_is_held_back_pass_at_once() {
    let limits = stuck(false);
    let inner = limits.0.as_ref().unwrap();
    inner.state.lock().cpu = Some((Bucket::new(1000.0, Instant::now(), cpu_time()), Spell::new("cpu")));
    let turn = inner.turn.lock().await;
    let mut passing = tokio::task::JoinSet::new();
    for _ in 0..3000 {
        let limits = limits.clone();
        passing.spawn(async move { limits.pass().await });
    }
    tokio::task::yield_now().await;
    let start = Instant::now();
    drop(turn);
    while let Some(passed) = passing.join_next().await {
        assert_eq!(passed.unwrap(), Ok(()));
    }
    // A step for each would be three seconds.
    assert!(start.elapsed() < Duration::from_secs(2));
}
