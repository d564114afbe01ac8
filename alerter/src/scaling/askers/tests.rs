use weir_service::auth::Auth;

use super::*;

fn asker(name: &str) -> Asker {
    Asker {
        kind: Kind::Keda,
        namespace: "team-a".to_owned(),
        name: name.to_owned(),
        metric: "up".to_owned(),
        query: "up".to_owned(),
        selector: String::new(),
    }
}

fn about(tenants: Option<Tenants>) -> About {
    About { tenants, target: Some(60.0), activation: Some(0.0) }
}

fn everything() -> Tenants {
    Auth::off().everything().unwrap()
}

#[test]
fn given_the_same_answer_again_then_it_is_counted_and_is_no_change() {
    let askers = Askers::default();
    let late = |behind| {
        let seconds = std::time::Duration::from_secs;
        Unanswered::Late { behind: seconds(behind), after: seconds(30) }
    };
    for (at, value) in [(1_000, Ok(1.0)), (2_000, Ok(1.0)), (3_000, Err(late(31))), (4_000, Err(late(32)))] {
        let answer = value.as_ref().map(|value| (*value, Some(true), at));
        askers.note(asker("ocr"), about(Some(everything())), answer, at);
    }
    let all = askers.seen_by(&everything());
    assert_eq!((all.len(), &all[0]["asked"]), (1, &json!(4)), "{all:?}");
    assert_eq!(all[0]["last_asked"], "1970-01-01T00:00:04Z");
    assert_eq!(all[0]["event_time"], "1970-01-01T00:00:02Z");
    let changes = all[0]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert_eq!(changes[0], json!({"at": "1970-01-01T00:00:01Z", "value": 1.0, "active": true, "error": null}));
    assert!(all[0]["error"].as_str().unwrap().contains("31 s behind"), "{}", all[0]);
}

#[test]
fn only_a_credential_of_the_askers_tenant_sees_it_and_one_without_a_tenant_is_seen_by_those_of_all() {
    let (askers, all) = (Askers::default(), everything());
    let of = |tenant| all.narrow([tenant]).unwrap();
    for (name, tenants) in [("acme", Some(of("acme"))), ("all", Some(all.clone())), ("none", None)] {
        askers.note(asker(name), about(tenants), Ok((1.0, None, 0)), 0);
    }
    let names = |tenants: &Tenants| {
        let seen = askers.seen_by(tenants).into_iter();
        seen.map(|asker| asker["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&all), ["acme", "all", "none"]);
    assert_eq!(names(&of("acme")), ["acme"]);
    assert_eq!(names(&of("globex")), [""; 0]);
}

#[test]
fn given_too_many_askers_or_changes_then_the_oldest_are_forgotten() {
    let askers = Askers::default();
    for at in 0..=MAX_ASKERS as i64 {
        askers.note(asker(&format!("{at:04}")), about(Some(everything())), Ok((1.0, None, 0)), at);
    }
    let all = askers.seen_by(&everything());
    assert_eq!((all.len(), &all[0]["name"]), (MAX_ASKERS, &json!("0001")));
    for at in 0..=MAX_CHANGES as i64 {
        askers.note(asker("0001"), about(Some(everything())), Ok((2.0 + at as f64, None, 0)), at);
    }
    let changes = askers.seen_by(&everything())[0]["changes"].as_array().unwrap().clone();
    assert_eq!((changes.len(), &changes[0]["value"]), (MAX_CHANGES, &json!(3.0)));
}

#[test]
fn given_answers_over_time_then_their_points_are_some_seconds_apart_unless_more_than_the_value_changes() {
    let askers = Askers::default();
    let note = |at: i64, answer: Result<f64, &Unanswered>, target: f64| {
        let about = About { target: Some(target), ..about(Some(everything())) };
        askers.note(asker("ocr"), about, answer.map(|value| (value, Some(value > 0.0), at)), at);
    };
    let points = || askers.seen_by(&everything())[0]["history"].as_array().unwrap().clone();
    for (at, value) in [(0, 1.0), (1_000, 2.0), (9_999, 3.0), (10_000, 4.0), (11_000, 0.0)] {
        note(at, Ok(value), 60.0);
    }
    note(12_000, Err(&Unanswered::Unknown), 60.0);
    note(13_000, Ok(5.0), 60.0);
    note(14_000, Ok(5.0), 80.0);
    let value = |point: &Value| point["value"].clone();
    assert_eq!(json!(points().iter().map(value).collect::<Vec<_>>()), json!([1.0, 4.0, 0.0, null, 5.0, 5.0]));
    assert_eq!(points()[0], json!({"time": "1970-01-01T00:00:00Z", "value": 1.0, "error": null, "target": 60.0}));
    assert!(points()[3]["error"].is_string() && points()[5]["target"] == 80.0, "{:?}", points());
    for n in 0..2 * MAX_POINTS as i64 {
        note(20_000 + n * POINT_MS, Ok(5.0), 80.0);
    }
    assert_eq!(points().len(), MAX_POINTS);
    let other = everything().narrow(["acme"]).unwrap();
    askers.note(asker("ocr"), about(Some(other)), Ok((1.0, None, 0)), 0);
    assert_eq!(points().len(), 1, "what was told of another tenant's data is not shown");
}

#[test]
fn given_somebody_who_looks_then_what_is_noted_meanwhile_is_not_in_what_was_seen() {
    let askers = Askers::default();
    let note = |value, at| askers.note(asker("ocr"), about(Some(everything())), Ok((value, None, at)), at);
    note(1.0, 0);
    let seen = askers.0.lock()[&asker("ocr")].clone();
    note(2.0, POINT_MS);
    assert_eq!((seen.changes.len(), seen.history.len()), (1, 1));
    let all = askers.seen_by(&everything());
    assert!(["changes", "history"].iter().all(|key| all[0][key].as_array().unwrap().len() == 2), "{all:?}");
}
