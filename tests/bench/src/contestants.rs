//! Contestants: the implementations that are measured, and how each is started.

use std::path::{Path, PathBuf};

use sam_local::OWNER;
use tokio::process::Command;

use crate::Result;
use crate::endpoint::Endpoint;

/// An implementation that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Contestant {
    /// The functions of this repository, without request quotas, since no other contestant has any.
    Tenure,
    /// This repository's functions as they are deployed: each request counts against its account's quota.
    Counting,
    /// Rust without an SDK or a framework: a lower bound for the others.
    Floor,
    /// Rust as in the tutorials: `lambda_http` and the SDK with default features.
    Tutorial,
    Node,
    Python,
    Go,
}

impl Contestant {
    pub(crate) const ALL: [Self; 7] = [
        Self::Tenure,
        Self::Counting,
        Self::Floor,
        Self::Tutorial,
        Self::Node,
        Self::Python,
        Self::Go,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tenure => "Tenure",
            Self::Counting => "counting Tenure",
            Self::Floor => "floor",
            Self::Tutorial => "tutorial Rust",
            Self::Node => "Node 20",
            Self::Python => "Python 3.11",
            Self::Go => "Go",
        }
    }

    /// Returns the contestant whose name begins with the word `name`, ignoring case.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        let first = |one: &Self| one.name().split(' ').next().unwrap_or_default();
        Self::ALL.into_iter().find(|one| first(one).eq_ignore_ascii_case(name))
    }

    /// Whether the contestant implements this endpoint.
    pub(crate) fn implements(self, endpoint: Endpoint) -> bool {
        match self {
            Self::Tenure | Self::Counting | Self::Node | Self::Python | Self::Go => true,
            Self::Floor | Self::Tutorial => {
                !matches!(endpoint, Endpoint::Login | Endpoint::Unregister)
            }
        }
    }

    /// Whether the contestant's TLS client loads all root certificates of the system, as it would on Lambda.
    pub(crate) const fn trusts_system(self) -> bool {
        !matches!(self, Self::Tenure | Self::Counting | Self::Floor)
    }

    /// Returns the name under which the contestant's DynamoDB calls are counted. Our functions call under their
    /// own names, with their IAM policies. The other contestants have no policies, and call as the AWS account's
    /// owner.
    pub(crate) const fn caller(self, endpoint: Endpoint) -> &'static str {
        match self {
            Self::Tenure | Self::Counting => endpoint.function(),
            _ => OWNER,
        }
    }

    /// Returns the files of the contestant's deployment package, without those that Lambda's runtime
    /// provides.
    pub(crate) fn package(self, places: &Places, endpoint: Endpoint) -> Vec<PathBuf> {
        let name = endpoint.name();
        match self {
            Self::Node => {
                let mut files = vec![places.prepared.join("node").join(format!("{name}.mjs"))];
                if endpoint.hashes() {
                    files.push(places.prepared.join("node/argon2.node"));
                }
                files
            }
            Self::Python => {
                let app = places.prepared.join("python/app");
                vec![app.join(format!("{name}.py")), app.join("tenure.py")]
            }
            _ => vec![self.program(places, endpoint)],
        }
    }

    fn program(self, places: &Places, endpoint: Endpoint) -> PathBuf {
        let name = endpoint.name();
        match self {
            Self::Tenure | Self::Counting => places.release.join(endpoint.binary()),
            Self::Floor => places.release.join("floor"),
            Self::Tutorial => places.prepared.join("tutorial/release").join(name),
            Self::Node => PathBuf::from("node"),
            Self::Python => places.prepared.join("python/bin/python"),
            Self::Go => places.prepared.join("go").join(name),
        }
    }

    /// Returns the command that starts the contestant's process. If a file of its package is missing, fails
    /// with an error that names the file.
    pub(crate) fn command(self, places: &Places, endpoint: Endpoint) -> Result<Command> {
        for file in self.package(places, endpoint) {
            if !file.is_file() {
                return Err(format!("there is no {}", file.display()).into());
            }
        }
        let mut command = Command::new(self.program(places, endpoint));
        match self {
            Self::Node | Self::Python => {
                command.arg(&self.package(places, endpoint)[0]);
            }
            _ => {}
        }
        command.env_clear().env("_HANDLER", endpoint.name());
        Ok(command)
    }
}

/// Directories in which the contestants' programs are found.
pub(crate) struct Places {
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// Release builds of the workspace.
    pub(crate) release: PathBuf,
    /// Directory into which the script `tests/bench/prepare` builds the contestants other than ours.
    pub(crate) prepared: PathBuf,
}

impl Places {
    pub(crate) fn find() -> Self {
        let bench = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = bench.parent().and_then(Path::parent).unwrap_or(bench).to_owned();
        Self { release: root.join("target/release"), prepared: root.join("target/bench"), root }
    }
}
