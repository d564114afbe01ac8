//! Section `reflow` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;
use weir_service::telemetry::whole;

use crate::capture::Compiler;
use crate::dataset::Store;
use crate::definition;
use crate::redact::HmacKey;

/// Section `reflow` of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Globs of files of captures; read again when they change.
    pub captures: Vec<String>,
    /// Where datasets lie: a folder, or `s3://BUCKET/PREFIX`. `data_dir/datasets` where it is not given.
    pub store: Option<String>,
    /// File with the key of hashes: 64 hexadecimal digits. Where it is not given, a key is made and lies in the store.
    pub hmac_key: Option<PathBuf>,
}

impl Options {
    /// What cannot work, by the key's name.
    pub fn check(&self) -> Result<(), String> {
        Store::check(self.store.as_deref()).map_err(|wrong| format!("store: {wrong}"))
    }

    /// Number of captures in the files, which have to be sound before anything starts. Reads files: not for an async
    /// thread.
    pub fn check_files(&self) -> Result<usize, String> {
        let key = HmacKey::generate().map_err(|error| format!("hmac_key: {}", whole(&error)))?;
        let compiler = Compiler(std::sync::Arc::new(key));
        let check = |definition: &definition::Definition| compiler.compile(definition.clone()).map(drop);
        let found = definition::load(&self.captures, check).map_err(|error| format!("captures: {}", whole(&error)))?;
        Ok(found.len())
    }
}
