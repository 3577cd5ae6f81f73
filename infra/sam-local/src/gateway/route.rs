//! Selects the route of a request.

use std::{borrow::Cow, cmp::Reverse};

use percent_encoding::percent_decode_str;

use crate::template;

/// The routes of an API, most specific first.
pub(super) struct Routes(Vec<Route>);

struct Route {
    key: String,
    method: String,
    function: String,
    /// Segments of the path; `None` for `$default`, the route for requests that match no other.
    segments: Option<Vec<Segment>>,
}

/// A segment of a route's path.
#[derive(Debug)]
enum Segment {
    Exact(String),
    Parameter(String),
    Greedy(String),
}

/// The route that a request matches, its function, and the decoded path parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found<'a> {
    pub(super) key: &'a str,
    pub(super) function: &'a str,
    pub(super) parameters: Vec<(&'a str, String)>,
}

impl Routes {
    pub(super) fn new(routes: Vec<template::Route>) -> Self {
        let mut routes: Vec<_> = routes.into_iter().map(Route::new).collect();
        routes.sort_by_cached_key(|route| {
            let kinds = route.segments.as_ref().map(|all| all.iter().map(Segment::rank).collect());
            let kinds: Reverse<Option<Vec<_>>> = Reverse(kinds);
            (kinds, route.method == "ANY")
        });
        Self(routes)
    }

    pub(super) fn keys(&self) -> Vec<String> {
        self.0.iter().map(|route| route.key.clone()).collect()
    }

    pub(super) fn find(&self, method: &str, path: &str) -> Option<Found<'_>> {
        self.0.iter().find_map(|route| {
            let parameters = route.matches(method, path)?;
            Some(Found { key: &route.key, function: &route.function, parameters })
        })
    }
}

impl Route {
    fn new(route: template::Route) -> Self {
        let template::Route { method, path, function } = route;
        if path == "$default" {
            return Self { key: path, method: "ANY".into(), function, segments: None };
        }
        let segments = path.split('/').skip(1).map(Segment::parse).collect();
        Self { key: format!("{method} {path}"), method, function, segments: Some(segments) }
    }

    /// Returns the path parameters if this route matches, otherwise `None`.
    fn matches(&self, method: &str, path: &str) -> Option<Vec<(&str, String)>> {
        if self.method != "ANY" && self.method != method {
            return None;
        }
        let Some(segments) = &self.segments else {
            return Some(Vec::new());
        };
        let mut parameters = Vec::new();
        let mut rest = path.strip_prefix('/');
        for segment in segments {
            let (part, after) = match segment {
                Segment::Greedy(_) => (rest?, None),
                _ => rest?.split_once('/').map_or((rest?, None), |(part, rest)| (part, Some(rest))),
            };
            let part = decode(part);
            match segment {
                Segment::Exact(text) if *text != part => return None,
                Segment::Exact(_) => {}
                Segment::Parameter(_) | Segment::Greedy(_) if part.is_empty() => return None,
                Segment::Parameter(name) | Segment::Greedy(name) => {
                    parameters.push((name.as_str(), part.into_owned()));
                }
            }
            rest = after;
        }
        rest.is_none().then_some(parameters)
    }
}

impl Segment {
    fn parse(text: &str) -> Self {
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Self::Greedy(name.into()),
                None => Self::Parameter(name.into()),
            },
            None => Self::Exact(text.into()),
        }
    }

    /// Returns the precedence of this kind of segment: of several matching routes, the highest wins.
    fn rank(&self) -> u8 {
        match self {
            Self::Exact(_) => 2,
            Self::Parameter(_) => 1,
            Self::Greedy(_) => 0,
        }
    }
}

pub(super) fn decode(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

#[cfg(test)]
mod tests {
    use super::Routes;
    use crate::template::Route;

    fn find(method: &str, path: &str) -> Option<(String, Vec<String>)> {
        let keys = [
            "$default",
            "ANY /pets/{proxy+}",
            "GET /pets/{id}",
            "ANY /pets/{id}",
            "GET /pets/dog",
            "GET /pets/{id}/toys",
            "POST /v1.0/pets",
        ];
        let route = |key: &&str| {
            let (method, path) = key.split_once(' ').unwrap_or(("ANY", key));
            Route { method: method.into(), path: path.into(), function: "Fn".into() }
        };
        let routes = Routes::new(keys.iter().map(route).collect());
        let found = routes.find(method, path)?;
        let parameters = found.parameters.iter().map(|(name, value)| format!("{name}={value}"));
        Some((found.key.to_owned(), parameters.collect()))
    }

    #[test]
    fn the_most_specific_route_takes_the_request() {
        for (method, path, key, parameters) in [
            ("GET", "/pets/dog", "GET /pets/dog", vec![]),
            ("GET", "/pets/cat", "GET /pets/{id}", vec!["id=cat"]),
            ("PUT", "/pets/cat", "ANY /pets/{id}", vec!["id=cat"]),
            ("PUT", "/pets/dog", "ANY /pets/{id}", vec!["id=dog"]),
            ("GET", "/pets/a%2Fb%20c", "GET /pets/{id}", vec!["id=a/b c"]),
            ("GET", "/pets/cat/toys", "GET /pets/{id}/toys", vec!["id=cat"]),
            ("GET", "/pets/cat/toys/1", "ANY /pets/{proxy+}", vec!["proxy=cat/toys/1"]),
            ("POST", "/v1.0/pets", "POST /v1.0/pets", vec![]),
            ("GET", "/v1.0/pets", "$default", vec![]),
            ("POST", "/v1.0/pets/", "$default", vec![]),
            ("GET", "/pets/", "$default", vec![]),
            ("GET", "/pets", "$default", vec![]),
            ("GET", "/", "$default", vec![]),
        ] {
            let (found, values) = find(method, path).unwrap();
            assert_eq!(
                (found.as_str(), values),
                (key, parameters.iter().map(ToString::to_string).collect()),
                "{path}"
            );
        }
    }

    #[test]
    fn without_a_default_route_other_requests_have_no_route() {
        let route = Route { method: "GET".into(), path: "/a".into(), function: "Fn".into() };
        let routes = Routes::new(vec![route]);
        assert!(routes.find("GET", "/a").is_some());
        assert!(routes.find("POST", "/a").is_none());
        assert!(routes.find("GET", "/a/").is_none());
        assert!(routes.find("GET", "/ab").is_none());
    }
}
