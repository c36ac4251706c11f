//! Signed claims: the vectors of the RFCs, and a twin of each good text with one thing changed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use mcpgate::oauth::jose::{Claims, JoseFault, JwkSet, Jws, TimeBounds};
use mcpgate::oauth::{Lifetime, Timestamp};
use serde_json::{Value, json};

use crate::signing_key::{SigningKey, base64url};

fn keys(set: &Value) -> Result<JwkSet, JoseFault> {
    JwkSet::parse(set.to_string().as_bytes())
}

fn verify(text: &str, set: &Value) -> Result<Claims, JoseFault> {
    Jws::read(text)?.verify(&keys(set)?).cloned()
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    // RFC 7515 A.2 and A.3: the same claims under RS256 and ES256.
    let claims = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({"keys": [{"kty": "RSA", "e": "AQAB", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}]});
    let by_rsa = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let ec = json!({"keys": [{"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]});
    let by_ec = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    for (header, signature, set) in [("eyJhbGciOiJSUzI1NiJ9", by_rsa, &rsa), ("eyJhbGciOiJFUzI1NiJ9", by_ec, &ec)] {
        let found = verify(&format!("{header}.{claims}.{signature}"), set).unwrap();
        assert_eq!((found.issuer(), found.expires_at()), (Some("joe"), Some(Timestamp::from_secs(1_300_819_380))));
    }
    // RFC 7515 A.1 (HS256) and A.5 (none) do not.
    let shared = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9";
    let mac = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert!(Jws::read(&format!("{shared}.{claims}.{mac}")).is_err());
    assert!(Jws::read(&format!("eyJhbGciOiJub25lIn0.{claims}.")).is_err());
    // RFC 8037 A.4: its payload is no set of claims, so the key alone is looked at.
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]});
    let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(Jws::read(text).unwrap_err().words(), "the claims are not one JSON object");
    assert!(keys(&set).is_ok());
}

#[test]
fn every_algorithm_verifies_with_its_own_key_and_no_other() {
    let claims = json!({"iss": "me"});
    let all = SigningKey::all();
    for (i, key) in all.iter().enumerate() {
        let text = key.sign("k", &claims);
        for (j, other) in all.iter().enumerate() {
            // The two algorithms of RSA share a key, and which of them a signature has, its header says.
            let is_own = i == j || (i > 1 && j > 1);
            assert_eq!(verify(&text, &other.jwks("k")).is_ok(), is_own, "{} {}", key.algorithm(), other.algorithm());
        }
        // RFC 9864 calls EdDSA with this curve Ed25519.
        let text = key.sign_texts(r#"{"alg":"Ed25519"}"#, &claims.to_string());
        assert_eq!(verify(&text, &key.jwks("k")).is_ok(), key.algorithm() == "EdDSA");
        // Neither a header that names another algorithm, nor a key that is for another one.
        for name in ["ES256", "EdDSA", "RS256", "PS256", "HS256", "none", "es256", "ES384", ""] {
            let text = key.sign_texts(&json!({"alg": name}).to_string(), &claims.to_string());
            assert_eq!(verify(&text, &key.jwks("k")).is_ok(), name == key.algorithm(), "{name}");
            let mut set = key.jwks("k");
            set["keys"][0]["alg"] = name.into();
            let text = key.sign("k", &claims);
            assert_eq!(verify(&text, &set).is_ok(), name == key.algorithm(), "{name}");
        }
    }
}

#[test]
fn a_change_of_any_byte_is_noticed() {
    for key in SigningKey::all() {
        let text = key.sign("k", &json!({"iss": "me", "n": 1}));
        let set = key.jwks("k");
        assert!(verify(&text, &set).is_ok());
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = match bytes[at] {
                b'A' => b'B',
                b'.' => b'A',
                _ => b'A',
            };
            let twin = String::from_utf8(bytes).unwrap();
            assert!(twin == text || verify(&twin, &set).is_err(), "{} {at}", key.algorithm());
        }
        // Another encoding of the same bytes is another text.
        let (signed, signature) = text.rsplit_once('.').unwrap();
        for twin in [format!("{text}="), format!("{text}."), format!("{signed}."), format!("{signed}.{signature}A")] {
            assert!(verify(&twin, &set).is_err(), "{twin}");
        }
    }
}

#[test]
fn ca_12_keys_and_urls_in_the_header_are_not_used() {
    let (own, other) = (SigningKey::p256(), SigningKey::p256());
    let claims = json!({"iss": "me"}).to_string();
    for (name, value) in [
        ("jwk", other.jwk("k")),
        ("jku", "https://attacker.example/keys".into()),
        ("x5u", "https://attacker.example/chain".into()),
        ("x5c", json!(["MIIB"])),
        ("zip", "DEF".into()),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "k"});
        header[name] = value;
        assert!(verify(&other.sign_texts(&header.to_string(), &claims), &own.jwks("k")).is_err(), "{name}");
        assert!(verify(&own.sign_texts(&header.to_string(), &claims), &own.jwks("k")).is_ok(), "{name}");
    }
    for header in [
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"none","alg":"ES256"}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":"ES256","kid":1}"#,
        r#"{"kid":"k"}"#,
        r#"["ES256"]"#,
    ] {
        assert!(verify(&own.sign_texts(header, &claims), &own.jwks("k")).is_err(), "{header}");
    }
    assert!(verify(&own.sign_texts(r#"{"alg":"ES256"}"#, r#"{"iss":"me","iss":"you"}"#), &own.jwks("k")).is_err());
}

#[test]
fn a_key_is_found_by_its_id() {
    let (first, second) = (SigningKey::p256(), SigningKey::p256());
    let both = json!({"keys": [first.jwk("1"), second.jwk("2")]});
    let claims = json!({"iss": "me"});
    assert!(verify(&first.sign("1", &claims), &both).is_ok());
    assert!(verify(&first.sign("2", &claims), &both).is_err());
    assert!(verify(&first.sign("3", &claims), &both).is_err());
    assert!(verify(&first.sign_texts(r#"{"alg":"ES256"}"#, "{}"), &both).is_ok());
    let mut without = first.jwks("1");
    without["keys"][0].as_object_mut().unwrap().remove("kid");
    assert!(verify(&first.sign("3", &claims), &without).is_ok());
    assert!(keys(&both).unwrap().overlaps(&keys(&first.jwks("other")).unwrap()));
    assert!(!keys(&first.jwks("1")).unwrap().overlaps(&keys(&second.jwks("1")).unwrap()));
}

#[test]
fn ca_13_a_key_set_has_bounds_and_no_private_keys() {
    let key = SigningKey::p256();
    let of = |count: usize| {
        let keys: Vec<_> = (0..count).map(|i| key.jwk(&i.to_string())).collect();
        keys_of(keys)
    };
    assert!(keys(&of(50)).is_ok() && keys(&of(51)).is_err() && keys(&of(1000)).is_err());
    let mut large = key.jwks("k");
    large["filler"] = " ".repeat(64 << 10).into();
    assert!(keys(&large).is_err());
    assert!(keys(&keys_of(vec![key.jwk("k"), SigningKey::p256().jwk("k")])).is_err());
    assert!(keys(&keys_of(vec![key.jwk("k"), SigningKey::ed25519().jwk("k")])).is_ok());
    for private in ["d", "p", "k"] {
        let mut set = key.jwks("k");
        set["keys"][0][private] = "AA".into();
        assert!(keys(&set).is_err(), "{private}");
    }
    let with = |name: &str, value: Value| {
        let mut set = key.jwks("k");
        set["keys"][0][name] = value;
        keys(&set)
    };
    for (name, value) in [
        ("x", "AA".into()),
        ("y", Value::Null),
        ("use", "enc".into()),
        ("key_ops", json!(["sign"])),
        ("kty", "oct".into()),
        ("crv", "P-384".into()),
        ("kid", "x".repeat(257).into()),
        // A restriction that cannot be read is not no restriction.
        ("kid", 1.into()),
        ("alg", json!(["ES256"])),
        ("alg", "EdDSA".into()),
        ("use", json!(["sig"])),
        ("key_ops", "verify".into()),
    ] {
        assert!(with(name, value.clone()).is_err(), "{name} {value}");
    }
    assert!(with("use", "sig".into()).is_ok() && with("key_ops", json!(["verify"])).is_ok());
    let weak = json!({"keys": [{"kty": "RSA", "e": "AQAB", "n": base64url(&[0xff; 255])}]});
    let heavy = json!({"keys": [{"kty": "RSA", "e": "AQAB", "n": base64url(&[0xff; 513])}]});
    assert!(keys(&weak).is_err() && keys(&heavy).is_err());
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[1]}"#] {
        assert!(JwkSet::parse(text.as_bytes()).is_err(), "{text}");
    }
}

fn keys_of(keys: Vec<Value>) -> Value {
    json!({ "keys": keys })
}

#[test]
fn the_times_of_claims_are_within_their_bounds() {
    let key = SigningKey::ed25519();
    let now = 1_800_000_000_u64;
    let bounds = TimeBounds { skew: Lifetime::from_secs(60), life: Lifetime::from_secs(300) };
    let passes = |claims: Value| {
        let claims = verify(&key.sign("k", &claims), &key.jwks("k"));
        claims.is_ok_and(|claims| claims.check_times(Timestamp::from_secs(now), bounds).is_ok())
    };
    for (claims, expected) in [
        (json!({"exp": now + 300}), true),
        (json!({"exp": now + 360}), true),
        (json!({"exp": now + 361}), false),
        (json!({"exp": now - 59}), true),
        (json!({"exp": now - 60}), false),
        (json!({"exp": now - 300}), false),
        (json!({}), false),
        (json!({"exp": now + 100, "nbf": now + 8}), true),
        (json!({"exp": now + 100, "nbf": now + 61}), false),
        (json!({"exp": now + 100, "iat": now + 60}), true),
        (json!({"exp": now + 100, "iat": now + 61}), false),
        (json!({"exp": 1_800_000_100.75}), true),
        (json!({"exp": "1800000100"}), false),
        (json!({"exp": -1}), false),
        (json!({"exp": 1e300}), false),
        (json!({"exp": u64::MAX}), false),
        (json!({"exp": now + 100, "nbf": 1.5e300}), false),
        (json!({"exp": now + 100, "nbf": "1"}), false),
        (json!({"exp": null}), false),
    ] {
        assert_eq!(passes(claims.clone()), expected, "{claims}");
    }
}

#[test]
fn what_is_kept_of_a_set_reads_back() {
    let all: Vec<_> = SigningKey::all().iter().zip(["a", "b", "c", "d"]).map(|(key, id)| key.jwk(id)).collect();
    let mut set = keys_of(all);
    set["keys"][0]["alg"] = "ES256".into();
    set["keys"][2]["n"] = base64url(&[&[0], &*decoded(&set["keys"][2]["n"])].concat()).into();
    set["keys"][3].as_object_mut().unwrap().remove("kid");
    set["keys"][1]["x5c"] = json!(["MIIB"]);
    let read = keys(&set).unwrap();
    let kept = read.to_json();
    assert_eq!(keys(&kept).unwrap(), read);
    assert_eq!(kept["keys"][0]["alg"], "ES256");
    assert!(kept["keys"][1].get("x5c").is_none() && kept["keys"][3].get("kid").is_none());
    assert!(read.overlaps(&keys(&SigningKey::rsa(false).jwks("other")).unwrap()), "leading zeros do not count");
}

#[test]
fn one_signature_is_checked_with_at_most_four_keys() {
    let made: Vec<_> = (0..5).map(|_| SigningKey::p256()).collect();
    let set = |count: usize| {
        keys_of(made[..count].iter().zip(["0", "1", "2", "3", "4"]).map(|(key, id)| key.jwk(id)).collect())
    };
    let unnamed = made[3].sign_texts(r#"{"alg":"ES256"}"#, "{}");
    assert!(verify(&unnamed, &set(4)).is_ok());
    assert!(verify(&unnamed, &set(5)).unwrap_err().words().contains("more than four"));
    assert!(verify(&made[3].sign("3", &json!({})), &set(5)).is_ok());
}

fn decoded(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}

#[test]
fn an_id_has_bounds() {
    let key = SigningKey::ed25519();
    let of = |jti: Value| verify(&key.sign("k", &json!({"jti": jti})), &key.jwks("k")).unwrap();
    assert_eq!(of("a".into()).id().unwrap(), "a");
    for bad in [json!(""), json!(1), json!("x".repeat(257)), Value::Null] {
        assert!(of(bad.clone()).id().is_err(), "{bad}");
    }
}
