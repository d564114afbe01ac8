//! A metric and its data points.

use super::wire::{Fields, Raw, put_bytes};

/// The fields of `Metric` that hold points; in all of them, points are field 1.
const DATA: [u32; 5] = [5, 7, 9, 10, 11];

/// What tags and lengths of a metric's data take at most.
const OVERHEAD: usize = 12;

fn data(metric: &[u8]) -> impl Iterator<Item = Raw<'_>> {
    Fields::checked(metric).filter(|field| DATA.contains(&field.number))
}

/// Number of data points.
pub(super) fn points(metric: &[u8]) -> u64 {
    data(metric).map(|field| Fields::checked(field.bytes()).filter(|point| point.number == 1).count() as u64).sum()
}

/// What it is called; empty where it does not say so.
pub(super) fn name(metric: &[u8]) -> &str {
    let name = Fields::checked(metric).filter(|field| field.number == 1).last();
    name.and_then(|name| std::str::from_utf8(name.bytes()).ok()).unwrap_or_default()
}

/// Whether it has data, be it without a point.
pub(super) fn has_data(metric: &[u8]) -> bool {
    data(metric).next().is_some()
}

/// The same metric as several of about `limit` bytes at most, each with some of the points, in order. A point that is
/// larger is alone. `None` where what is repeated in each is more than half of `limit`: the pieces together would be
/// many times the metric.
pub(super) fn pieces(metric: &[u8], limit: usize) -> Option<Vec<Vec<u8>>> {
    let mut outside = Vec::new();
    for field in Fields::checked(metric).filter(|field| !DATA.contains(&field.number)) {
        outside.extend_from_slice(field.whole);
    }
    let mut pieces = Vec::new();
    for field in data(metric) {
        let mut inside = Vec::new();
        for field in Fields::checked(field.bytes()).filter(|field| field.number != 1) {
            inside.extend_from_slice(field.whole);
        }
        if outside.len() + inside.len() > limit / 2 {
            return None;
        }
        let mut piece = |content: &[u8]| {
            let mut piece = outside.clone();
            put_bytes(&mut piece, field.number, content);
            pieces.push(piece);
        };
        let mut content = inside.clone();
        for point in Fields::checked(field.bytes()).filter(|field| field.number == 1) {
            let full = outside.len() + OVERHEAD + content.len() + point.whole.len() > limit;
            if full && content.len() > inside.len() {
                piece(&content);
                content.truncate(inside.len());
            }
            content.extend_from_slice(point.whole);
        }
        if content.len() > inside.len() {
            piece(&content);
        }
    }
    Some(pieces)
}
