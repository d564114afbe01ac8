//! One tantivy document a line: time, service and the words of the body, with the body stored.

use std::path::Path;

use prost::Message as _;
use tantivy::schema::{FAST, STORED, STRING, Schema, TEXT};
use tantivy::{Index, IndexWriter, TantivyDocument};
use weir_proto::otlp::collector::logs::v1::ExportLogsServiceRequest;
use weir_proto::otlp::common::v1::any_value::Value;

use super::corpus::Corpus;

/// Memory of the writer, as the store's.
const WRITER_BYTES: usize = 32 << 20;

pub(super) fn index(corpus: &Corpus, folder: &Path) -> anyhow::Result<()> {
    let mut schema = Schema::builder();
    let time = schema.add_i64_field("time", FAST);
    let service = schema.add_text_field("service", STRING);
    let body = schema.add_text_field("body", TEXT | STORED);
    let index = Index::create_in_dir(folder, schema.build())?;
    let mut writer: IndexWriter = index.writer_with_num_threads(1, WRITER_BYTES)?;
    corpus.each_piece(|messages| {
        for message in messages {
            let request = ExportLogsServiceRequest::decode(message.value.clone())?;
            for resource in request.resource_logs {
                let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
                let name = attributes.into_iter().find(|pair| pair.key == "service.name").and_then(|pair| pair.value);
                let name = text(name.and_then(|any| any.value));
                for record in resource.scope_logs.into_iter().flat_map(|scope| scope.log_records) {
                    let mut document = TantivyDocument::default();
                    document.add_i64(time, i64::try_from(record.time_unix_nano)?);
                    document.add_text(service, &name);
                    document.add_text(body, text(record.body.and_then(|any| any.value)));
                    writer.add_document(document)?;
                }
            }
        }
        Ok(())
    })?;
    writer.commit()?;
    writer.wait_merging_threads()?;
    Ok(())
}

fn text(value: Option<Value>) -> String {
    match value {
        Some(Value::StringValue(text)) => text,
        _ => String::new(),
    }
}
