//! Hits and look-alikes of each pattern.

use super::*;

/// Texts and what becomes of them under all patterns.
fn check(cases: &[(&str, &str)]) {
    let redactor = redactor(Method::Mask);
    for (text, expected) in cases {
        assert_eq!(apply(&redactor, text), *expected, "{text}");
    }
}

fn check_same(cases: &[&str]) {
    let redactor = redactor(Method::Mask);
    for text in cases {
        assert_eq!(redactor.text(0, text, &mut Counts::default()), Redacted::Same, "{text}");
    }
}

#[test]
fn mobile_numbers_are_found_in_every_writing() {
    check(&[
        ("13812345678", "[phone_cn]"),
        ("我的手机是13812345678,谢谢", "我的手机是[phone_cn],谢谢"),
        ("电话138-1234-5678。", "电话[phone_cn]。"),
        ("call 138 1234 5678 now", "call [phone_cn] now"),
        ("+8613812345678", "[phone_cn]"),
        ("+86 13812345678", "[phone_cn]"),
        ("+86-138-1234-5678", "[phone_cn]"),
        ("＋86 138 1234 5678", "[phone_cn]"),
        ("008613812345678", "[phone_cn]"),
        ("0086 138 1234 5678", "[phone_cn]"),
        ("8613812345678", "[phone_cn]"),
        ("86 138 1234 5678", "[phone_cn]"),
        ("(+86)13812345678", "(+86)[phone_cn]"),
        ("手机１３８１２３４５６７８号", "手机[phone_cn]号"),
        ("１３８－１２３４－５６７８", "[phone_cn]"),
        ("13812345678,13912345678", "[phone_cn],[phone_cn]"),
        ("13812345678 13912345678", "[phone_cn] [phone_cn]"),
        ("tel:13812345678", "tel:[phone_cn]"),
        ("Tel13812345678", "Tel[phone_cn]"),
        ("1.13812345678", "1.[phone_cn]"),
        ("end.13812345678.", "end.[phone_cn]."),
        ("{\\\"tel\\\":\\\"13812345678\\\",\\n13912345678}", "{\\\"tel\\\":\\\"[phone_cn]\\\",\\n[phone_cn]}"),
        ("\\u624b\\u673a13812345678", "\\u624b\\u673a[phone_cn]"),
        ("\\\\u53f713812345678", "\\\\u53f7[phone_cn]"),
    ]);
    check_same(&[
        "12812345678",
        "10012345678",
        "1381234567",
        "138123456789",
        "013812345678",
        "213812345678",
        "１13812345678",
        "8713812345678",
        "138-12345-678",
        "0.13812345678",
        "sha 3f13812345678ab0",
        "550e8400-e29b-41d4-a716-a13812345678",
        "x13812345678y",
        "010-62345678",
    ]);
}

#[test]
fn identity_numbers_need_a_province_a_date_and_their_check_digit() {
    check(&[
        ("11010519491231002X", "[id_cn]"),
        ("身份证11010519491231002x号", "身份证[id_cn]号"),
        ("440524188001010014", "440524188001010014"),
        ("440524198001010013", "[id_cn]"),
        ("１１０１０５１９４９１２３１００２Ｘ", "[id_cn]"),
        ("110105 19491231 002X", "[id_cn]"),
        ("440524-19800101-0013", "[id_cn]"),
        ("旧证110105491231002。", "旧证[id_cn]。"),
        ("ID:440524198001010013,", "ID:[id_cn],"),
    ]);
    check_same(&[
        "110105194912310021",
        "11010519491331002X",
        "440524198002300010",
        "100105194912310029",
        "11010519491231002XY",
        "1101051949123100212",
        "110105491331002",
        "990105491231002",
        "a110105491231002b",
    ]);
}

#[test]
fn card_numbers_need_an_issuer_and_their_check_digit() {
    for number in [
        "4111111111111111",
        "4222222222222",
        "5555555555554444",
        "2223003122003222",
        "378282246310005",
        "3530111333300000",
        "6011111111111117",
        "30569309025904",
        "6222021234567890128",
        "6200000000000005",
        "6759649826438453",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "6222 0212 3456 7890 128",
        "3782 822463 10005",
        "４１１１１１１１１１１１１１１１",
    ] {
        check(&[(number, "[bank_card]"), (&format!("卡号{number}。"), "卡号[bank_card]。")]);
        check(&[(&format!("2024 {number}"), "2024 [bank_card]")]);
    }
    check_same(&[
        "4111111111111112",
        "4111 1111 1111 1112",
        "1111111111111117",
        "0000000000000000",
        "411111111111",
        "41111111111111110000",
        "0.4111111111111111",
        "ab4111111111111111cd",
    ]);
}

#[test]
fn addresses_of_mail_are_found_between_ideographs() {
    check(&[
        ("zhang.san+tag@example.com", "[email]"),
        ("邮箱是zhang@example.com谢谢", "邮箱是[email]谢谢"),
        ("<a_b@mail.example.co.uk>", "<[email]>"),
        ("mail me: a@b.io.", "mail me: [email]."),
        ("13812345678@qq.com", "[email]"),
        ("张三@例子.中国", "[email]"),
        ("zhang@例子.中国谢谢", "[email]谢谢"),
        ("用户@example.com", "[email]"),
        ("müller@bücher.de", "[email]"),
        ("иван@почта.рф", "[email]"),
        ("a@xn--fsq.xn--fiqs8s", "[email]"),
        ("zhang＠example.com", "[email]"),
        ("{\\\"mail\\\":\\\"a@b.cn\\\"}", "{\\\"mail\\\":\\\"[email]\\\"}"),
        ("x\\nzhang@example.com\\n", "x\\n[email]\\n"),
        ("138 1234 5678a@b.com", "[phone_cn]"),
    ]);
    check_same(&[
        "@app.route('/')",
        "user@localhost",
        "lodash@4.17.21",
        "logo@2x.png",
        "@张三 你好",
        "a@b",
        "a @ b.com",
        "你好@所有人。好的",
        "at@",
        "@",
        "a@b.c",
    ]);
}

#[test]
fn addresses_of_the_internet_protocol_are_no_versions_and_no_times() {
    check(&[
        ("192.168.1.1", "[ip]"),
        ("主机10.0.0.1的端口", "主机[ip]的端口"),
        ("http://10.0.0.1:8080/x", "http://[ip]:8080/x"),
        ("10.0.0.0/8", "[ip]/8"),
        ("server 8.8.8.8.", "server [ip]."),
        ("ports 80 443 10.1.2.3, ok", "ports 80 443 [ip], ok"),
        ("2001:db8::1", "[ip]"),
        ("[2001:db8:0:0:8:800:200c:417a]:443", "[[ip]]:443"),
        ("::1", "[ip]"),
        ("::ffff:10.0.0.1", "[ip]"),
        ("fe80::1%eth0 up", "[ip] up"),
        ("addr:fe80::1.", "addr:[ip]."),
        ("地址2001:db8::1。", "地址[ip]。"),
        ("x\\nfe80::1\\n", "x\\n[ip]\\n"),
        ("x\\n10.0.0.1\\n", "x\\n[ip]\\n"),
    ]);
    check_same(&[
        "1.2.3.4.5",
        "256.1.1.1",
        "1.2.3",
        "v1.2.3.4",
        "version 1.2.3.4",
        "Version=4.0.0.0",
        "版本号：1.2.3.4",
        "Chrome/91.0.124.14",
        "libc.so.1.2.3.4",
        "1.2.3.4rc1",
        "12:30:45",
        "2024-01-02T12:30:45",
        "std::vector",
        "a::b",
        "x[::-1]",
        "x[::2]",
        "::",
        "aa:bb:cc:dd:ee:ff",
        "00:11:22:33:44:55:66:77",
        "01.02.03.04",
    ]);
}

const JWT: &str =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";

#[test]
fn bearer_tokens_are_found_and_their_scheme_stays() {
    check(&[
        ("Authorization: Bearer xyz", "Authorization: Bearer [bearer]"),
        ("\"Authorization\": \"Bearer abc123\"", "\"Authorization\": \"Bearer [bearer]\""),
        ("authorization=Basic dXNlcjpwYXNz", "authorization=Basic [bearer]"),
        ("-H 'authorization: bearer abcdefgh12'", "-H 'authorization: bearer [bearer]'"),
        ("bearer abcdefghijklmnop", "bearer [bearer]"),
        (JWT, "[bearer]"),
        (&format!("令牌{JWT}。"), "令牌[bearer]。"),
        (&format!("?token={JWT}&x=1"), "?token=[bearer]&x=1"),
    ]);
    check_same(&[
        "the bearer of this letter",
        "bearer tokens",
        "forbearer abcdefghijklmnopq1",
        "eyJ.x.y",
        "eyJhbGciOiJI",
    ]);
}

#[test]
fn keys_are_found_by_shape() {
    for key in [
        "sk-abcdEFGH1234567890abcd",
        "sk-ant-api03-abcdEFGH1234567890_abcd-xyz",
        "sk-proj-abcdEFGH1234567890",
        "sk-0123456789abcdef0123456789abcdef",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "github_pat_11ABCDEFG0123456789_abcdefghijk",
        "xoxb-123456789012-abcdefABCDEF",
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "glpat-abcdEFGH1234567890",
        "hf_abcdefghijklmnopqrSTUVWX",
        "weir_abcdefghijklmnopqrSTUVWX0123456789-_abc",
        "LTAI5tAbCdEfGhIjKlMnOpQr",
        "AKIDz8krbsJ5yKBZQpn74WFkmLPx3gnPhESA",
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc",
    ] {
        check(&[(key, "[api_key]"), (&format!("密钥{key}。"), "密钥[api_key]。")]);
        check(&[(&format!("{{\\\"k\\\":\\\"{key}\\\"}}\\n{key}"), "{\\\"k\\\":\\\"[api_key]\\\"}\\n[api_key]")]);
    }
    check_same(&[
        "sk-learn-contrib-package",
        "task-0123456789abcdefABCD",
        "weir_usage_faults_total_by_tenant",
        "weir_calls_p99_duration_seconds",
        "AKIA is a prefix",
        "hf_hub_download",
        "AIzawa",
    ]);
}

#[test]
fn values_are_found_by_the_name_before_them() {
    check(&[
        ("api_key=abcd1234", "api_key=[api_key]"),
        ("apikey: 'abcd1234efgh'", "apikey: '[api_key]'"),
        ("X-Api-Key: abcd1234efgh", "X-Api-Key: [api_key]"),
        ("password=hunter2hunter2&x=1", "password=[api_key]&x=1"),
        ("\"password\": \"correct horse battery\"", "\"password\": \"[api_key]\""),
        ("{\\\"client_secret\\\":\\\"abcd1234efgh\\\"}", "{\\\"client_secret\\\":\\\"[api_key]\\\"}"),
        ("密码：abcd1234", "密码：[api_key]"),
        ("密码是：abcd1234", "密码是：abcd1234"),
        ("DB_PASSWD := abcd1234", "DB_PASSWD := [api_key]"),
    ]);
    check_same(&[
        "password=short",
        "password: ********",
        "password = os.environ['PASSWORD']",
        "password = getpassword()",
        "password=${DB_PASSWORD}",
        "PWD=/home/user/src",
        "max_tokens=12345678",
        "the secret of success",
        "api_key=[api_key]",
    ]);
}

#[test]
fn private_keys_are_found_whole_or_cut_off() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7";
    let key = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----");
    check(&[
        (&format!("a\n{key}\nb"), "a\n[api_key]\nb"),
        (&key.replace('\n', "\\n"), "[api_key]"),
        (&key.replace("PRIVATE", "RSA PRIVATE"), "[api_key]"),
        (&format!("-----BEGIN EC PRIVATE KEY-----\n{body}"), "[api_key]"),
    ]);
    check_same(&["-----BEGIN PUBLIC KEY-----", "-----BEGIN ", "----------", "-----BEGIN CERTIFICATE-----\nMIIE\n"]);
}
