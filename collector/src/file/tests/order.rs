//! Which of the files of one tenant is read first.

use super::*;
use crate::options::ShareOptions;

const OLD_BYTES: usize = 500_000;
const OLD_FILES: usize = 8;

#[tokio::test]
async fn what_is_written_into_a_file_that_was_found_empty_does_not_wait_for_all_that_is_old() {
    let mut world = World::new(Format::Plain).await;
    let rate = Some(weir_service::config::Size(OLD_BYTES as u64));
    let share = ShareOptions { rate, ..ShareOptions::default() };
    world.options.tenant.shares.insert("default".to_owned(), share);
    for number in 0..OLD_FILES {
        world.append(&format!("old-{number}.log"), format!("{number:099}\n").repeat(OLD_BYTES / 100));
        let file = OpenOptions::new().append(true).open(world.path(&format!("old-{number}.log"))).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_hours(1)).unwrap();
    }
    world.append("young.log", "");
    let (there, ended) = (CancellationToken::new(), CancellationToken::new());
    let source = world.source().reading_after(there.clone());
    let running = (tokio::spawn(source.run(Until::Stopped, ended.clone())), ended);
    world.wait_for_state(|files| files.len() == OLD_FILES + 1).await;
    world.append("young.log", "young\n");
    there.cancel();
    loop {
        let bodies = world.bodies().await;
        if bodies.iter().any(|body| body == "young") {
            let old = (bodies.len() - 1) * 100;
            assert!(old < OLD_FILES * OLD_BYTES / 2, "{old} old bytes came before");
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop(running).await;
}
