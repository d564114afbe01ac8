use serde_json::json;
use weir_service::auth::Auth;

use super::*;

#[test]
fn a_name_that_is_a_path_of_the_api_can_be_in_files_alone() {
    let body = |name: &str| json!({"name": name, "tenants": ["acme"], "fields": {"t": "trace_id"}});
    let all = Auth::off().everything().unwrap();
    assert_eq!(definition(&all, body("preview")).unwrap_err().status, 422);
    assert!(definition(&all, body("previews")).is_ok());
    assert!(serde_json::from_value::<Definition>(body("preview")).unwrap().check().is_ok());
}
