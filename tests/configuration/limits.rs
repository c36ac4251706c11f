//! The limits of an upstream.

use mcpgate::config::Overrides;
use mcpgate::policy::LimitPer;

use crate::{GOOD, load, only_problem};

fn limit(keys: &str) -> String {
    format!("[[upstream.limit]]\nname = \"a\"\n{keys}\n")
}

#[test]
fn a_limit_that_limits_nothing_or_cannot_be_read_is_refused() {
    for (text, expected) in [
        ("[[upstream.limit]]\nat_once = 1\n".to_owned(), "7: upstream[0].limit[0].name: this key is missing"),
        (limit(""), "8: upstream[0].limit[0].name: this limits nothing"),
        (limit("per_minute = 0"), "9: upstream[0].limit[0].per_minute: this is out of range"),
        (limit("per_day = 0"), "9: upstream[0].limit[0].per_day: this is out of range"),
        (limit("per_day = 1000000001"), "9: upstream[0].limit[0].per_day: this is out of range"),
        (limit("per_day = 5\nburst = 2"), "10: upstream[0].limit[0].burst: a burst is of a rate"),
        (limit("at_once = 1\nburst = 2"), "10: upstream[0].limit[0].burst: a burst is of a rate"),
        (limit("at_once = 1\nper = \"scope\""), "10: upstream[0].limit[0].per: this string cannot be read"),
        (limit("at_once = 1\nper = \"client\""), "10: upstream[0].limit[0].per: no client has a count"),
        (limit("at_once = 1\nclients = [\"c\"]"), "10: upstream[0].limit[0].clients: these have no count"),
        (
            limit("at_once = 1\nper = \"client\"\nclients = [\"c\", \"https://client.example/metadata.json\"]"),
            "11: upstream[0].limit[0].clients[1]: strangers share the id",
        ),
        (
            limit("at_once = 1\nper = \"client\"\nclients = [\"a b\"]"),
            "11: upstream[0].limit[0].clients[0]: this cannot be a client id",
        ),
        (
            limit("at_once = 1\noperations = [\"tools/list\", \"tools list\"]"),
            "10: upstream[0].limit[0].operations[1]: this is not the name",
        ),
        (limit("at_once = 1").replace("\"a\"", "\"A b\""), "8: upstream[0].limit[0].name: this cannot be a name"),
        (limit("at_once = 1").repeat(2), "11: upstream[0].limit[1].name: another limit of this upstream"),
        (
            format!("check_envelope = false\n{}", limit("at_once = 1")),
            "7: upstream[0].check_envelope: without reading messages",
        ),
    ] {
        let problem = only_problem(&text);
        assert!(problem.contains(&format!("gateway.toml:{expected}")), "{text}: {problem}");
    }
}

#[test]
fn an_upstream_has_a_bounded_number_of_limits() {
    let many = |number: usize| -> String {
        (0..number).map(|n| limit("at_once = 1").replace("\"a\"", &format!("\"a{n}\""))).collect()
    };
    assert!(only_problem(&many(129)).contains("an upstream has at most 128 limits"));
    let config = load(&format!("{GOOD}{}", many(128)), &Overrides::default());
    assert_eq!(config.upstreams[0].limits.as_ref().unwrap().all().len(), 128);
}

#[test]
fn a_limit_is_per_user_and_its_burst_is_its_rate_unless_it_says_otherwise() {
    let text = format!("{GOOD}{}", limit("per_minute = 7"));
    let config = load(&text, &Overrides::default());
    let [limit] = config.upstreams[0].limits.as_ref().unwrap().all() else { panic!("one") };
    let rate = limit.rate.unwrap();
    assert_eq!((&limit.per, rate.per_minute, rate.burst, limit.at_once), (&LimitPer::User, 7, 7, None));
    assert_eq!(limit.per_day, None);
    let text = format!("{GOOD}{}", self::limit("per_day = 1000"));
    let config = load(&text, &Overrides::default());
    let [limit] = config.upstreams[0].limits.as_ref().unwrap().all() else { panic!("one") };
    assert_eq!((limit.rate, limit.per_day), (None, Some(1000)));
}
