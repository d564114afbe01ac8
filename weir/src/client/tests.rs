use super::*;

fn access(token: &str) -> Access {
    Access { token: Some(token.to_owned().into()), ..Access::default() }
}

#[test]
fn a_token_goes_where_nobody_reads_it_on_its_way() {
    for (url, insecure, goes) in [
        ("http://127.0.0.1:7400", false, true),
        ("http://localhost", false, true),
        ("http://[::1]:7400", false, true),
        ("https://weir.example", false, true),
        ("http://weir.example:7400", false, false),
        ("http://10.0.0.1", false, false),
        ("http://127.0.0.1.example", false, false),
        ("http://[2001:db8::1]:7400", false, false),
        ("http://weir.example:7400", true, true),
    ] {
        let access = Access { insecure, ..access("weir_secret") };
        let url = address("--url", url).unwrap();
        let grpc = url.scheme() == "https" || access.grpc(&url).is_ok();
        assert_eq!((access.http(&url).is_ok(), grpc), (goes, goes), "{url}");
        if let Err(error) = access.http(&url) {
            let told = format!("{error:#}");
            assert!(told.contains("--insecure") && !told.contains("weir_secret"), "{told}");
        }
    }
    let nowhere = Access::default();
    assert!(nowhere.http(&address("--url", "http://weir.example").unwrap()).is_ok());
}

#[test]
fn a_token_is_never_shown_and_what_is_none_is_refused() {
    let url = address("--url", "http://127.0.0.1").unwrap();
    for token in ["weir_a b", "weir_a\nb", "weir_ü"] {
        let told = format!("{:#}", access(token).http(&url).unwrap_err());
        assert!(told.contains("the token") && !told.contains("weir_"), "{told}");
    }
    let access = access(" weir_secret\n");
    let (_, bearer) = access.grpc(&url).unwrap();
    assert_eq!(bearer.as_ref().unwrap().to_str().unwrap(), "Bearer weir_secret");
    let shown = format!("{access:?} {bearer:?} {:?}", access.http(&url).unwrap());
    assert!(!shown.contains("weir_secret"), "{shown}");
    assert!(self::access("").grpc(&url).unwrap().1.is_none());
}

#[test]
fn an_address_is_one_of_http_and_holds_no_credential() {
    for wrong in ["", "127.0.0.1:7400", "localhost:7400", "ftp://h", "http://", "unix:/x", "http://h:x"] {
        let told = format!("{:#}", address("--url", wrong).unwrap_err());
        assert!(told.starts_with(&format!("--url {wrong}: write http://host:port")), "{told}");
    }
    let told = format!("{:#}", address("--url", "https://u:weir_secret@h").unwrap_err());
    assert!(told.contains("--token") && !told.contains("weir_secret"), "{told}");
}

#[test]
fn authorities_that_are_none_name_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = address("--url", "https://weir.example").unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = rcgen::CertificateParams::new(vec!["ca".to_owned()]).unwrap().self_signed(&key).unwrap();
    for (text, wrong) in [
        (authority.pem(), None),
        (String::new(), Some("no certificate in PEM is in it")),
        (key.serialize_pem(), Some("no certificate in PEM is in it")),
        ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n".to_owned(), Some("this is not PEM")),
    ] {
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, text).unwrap();
        let told = Access { ca: Some(ca), ..Access::default() }.http(&url).err().map(|error| format!("{error:#}"));
        match (told, wrong) {
            (None, None) => {}
            (Some(told), Some(wrong)) => assert!(told.contains("ca.pem: ") && told.contains(wrong), "{told}"),
            (told, wrong) => panic!("{told:?} {wrong:?}"),
        }
    }
    let missing = Access { ca: Some(folder.path().join("none")), ..Access::default() };
    let told = format!("{:#}", missing.grpc(&url).unwrap_err());
    assert!(told.contains("none: cannot be read: No such file"), "{told}");
    let unset = Access { ca: Some(PathBuf::new()), ..Access::default() };
    assert!(unset.http(&url).is_ok());
}
