use std::time::Duration;

use weir_bus::{Bus, Event, Message, Partition, Position};

/// All that is on a topic now, partition after partition.
pub async fn messages(bus: &Bus, topic: &str) -> Result<Vec<Message>, weir_bus::Error> {
    let mut all = Vec::new();
    for number in 0..bus.partitions(topic).await? {
        let partition = Partition::new(topic, number);
        let (offset, end) = bus.offsets(&partition).await?;
        let mut consumer = bus.consumer(&[Position { partition, offset }])?;
        let mut next = offset;
        while next < end {
            if let Event::Batch(messages) = consumer.next(1000, Duration::from_secs(10)).await? {
                next = messages.last().map_or(next, |last| last.offset + 1);
                all.extend(messages);
            }
        }
    }
    Ok(all)
}
