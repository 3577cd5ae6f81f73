//! Finds the parts of a template that the stack does not emulate. They are listed when the stack starts.

use super::node::Node;
use crate::error::Error;

/// The properties of a resource type that are not reported: those that the stack emulates, and those that
/// make no difference to a function or a client on one machine.
struct Known {
    supported: &'static [&'static str],
    without_effect: &'static [&'static str],
}

/// Returns the known properties of a resource type; `None` if the stack does not emulate the type.
fn known(kind: &str) -> Option<Known> {
    let (supported, without_effect): (&[_], &[_]) = match kind {
        "AWS::Serverless::Function" => (
            &[
                "Environment",
                "EventInvokeConfig",
                "Events",
                "Handler",
                "LoggingConfig",
                "MemorySize",
                "Policies",
                "ReservedConcurrentExecutions",
                "Timeout",
            ],
            &[
                "Architectures",
                "CodeUri",
                "Description",
                "FunctionName",
                "PermissionsBoundary",
                "RolePath",
                "Runtime",
                "RuntimeManagementConfig",
                "Tags",
                "Tracing",
            ],
        ),
        "AWS::Serverless::HttpApi" => (
            &["CorsConfiguration"],
            &[
                "AccessLogSettings",
                "Description",
                "DisableExecuteApiEndpoint",
                "Domain",
                "Name",
                "PropagateTags",
                "RouteSettings",
                "StageName",
                "Tags",
            ],
        ),
        "AWS::DynamoDB::Table" => (
            &[
                "AttributeDefinitions",
                "BillingMode",
                "GlobalSecondaryIndexes",
                "KeySchema",
                "LocalSecondaryIndexes",
                "StreamSpecification",
                "TableName",
                "TimeToLiveSpecification",
            ],
            &[
                "ContributorInsightsSpecification",
                "DeletionProtectionEnabled",
                "OnDemandThroughput",
                "PointInTimeRecoverySpecification",
                "SSESpecification",
                "TableClass",
                "Tags",
            ],
        ),
        "AWS::KMS::Key" => (
            &["KeySpec", "KeyUsage"],
            &[
                "Description",
                "Enabled",
                "EnableKeyRotation",
                "KeyPolicy",
                "PendingWindowInDays",
                "Tags",
            ],
        ),
        "AWS::Events::EventBus" => (&["Name"], &["Description", "Policy", "Tags"]),
        "AWS::Events::Rule" => (
            &["EventBusName", "EventPattern", "ScheduleExpression", "State", "Targets"],
            &["Description", "Name", "RoleArn"],
        ),
        _ => return None,
    };
    Some(Known { supported, without_effect })
}

/// Returns the known properties of a type of event source; `None` if the stack does not emulate the type.
fn known_source(kind: &str) -> Option<Known> {
    // The stack keeps dead letters itself, and never fails to hand an event to a function.
    let (supported, without_effect): (&[_], &[_]) = match kind {
        "HttpApi" => (&["Method", "Path"], &["ApiId", "PayloadFormatVersion"]),
        "Schedule" => (
            &["Enabled", "Input", "Schedule", "State"],
            &["DeadLetterConfig", "Description", "Name", "RetryPolicy"],
        ),
        "ScheduleV2" => (
            &["Input", "ScheduleExpression", "State"],
            &[
                "DeadLetterConfig",
                "Description",
                "Name",
                "PermissionsBoundary",
                "RetryPolicy",
                "RoleArn",
            ],
        ),
        "EventBridgeRule" | "CloudWatchEvent" => (
            &["EventBusName", "Pattern", "State"],
            &["DeadLetterConfig", "RetryPolicy", "RuleName"],
        ),
        "DynamoDB" => (
            &[
                "BatchSize",
                "BisectBatchOnFunctionError",
                "DestinationConfig",
                "Enabled",
                "FilterCriteria",
                "FunctionResponseTypes",
                "MaximumRetryAttempts",
                "ParallelizationFactor",
                "StartingPosition",
                "Stream",
            ],
            &[],
        ),
        _ => return None,
    };
    Some(Known { supported, without_effect })
}

/// Resource types that are not reported because they make no difference to a function or a client on one
/// machine.
const WITHOUT_EFFECT: [&str; 22] = [
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::CertificateManager::Certificate",
    "AWS::CloudFormation::Stack",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::EventBusPolicy",
    "AWS::IAM::ManagedPolicy",
    "AWS::IAM::Role",
    "AWS::KMS::Alias",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::Logs::QueryDefinition",
    "AWS::Route53::RecordSet",
    // Feedback on mail: the stack emulates it for every message that names a configuration set.
    "AWS::SES::ConfigurationSet",
    "AWS::SES::ConfigurationSetEventDestination",
    // Queues and topics: only as destinations of dead letters and alarms, which the stack keeps itself.
    "AWS::SNS::Topic",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SSM::Parameter",
];

/// Returns the names of the parts of a resource that have an effect on AWS but are not emulated: the whole
/// resource as `Files (AWS::S3::Bucket)`, or a property as `Api.Properties.Auth`.
pub(super) fn of_resource(kind: &str, resource: &Node<'_>) -> Result<Vec<String>, Error> {
    match (known(kind), resource.get("Properties")?) {
        (Some(known), Some(properties)) => of_properties(&known, &properties),
        (None, _) if !WITHOUT_EFFECT.contains(&kind) => {
            Ok(vec![format!("{} ({kind})", resource.path())])
        }
        _ => Ok(Vec::new()),
    }
}

/// Returns the names of the parts of an event source that have an effect on AWS but are not emulated: the
/// whole source, or properties of it.
pub(super) fn of_source(kind: &str, source: &Node<'_>) -> Result<Vec<String>, Error> {
    match (known_source(kind), source.get("Properties")?) {
        (Some(known), Some(properties)) => of_properties(&known, &properties),
        (Some(_), None) => Ok(Vec::new()),
        (None, _) => Ok(vec![format!("{} ({kind})", source.path())]),
    }
}

/// Returns the names of the parts of `Globals` that have an effect on AWS but are not emulated, such as
/// `Globals.Function.Layers`.
pub(super) fn of_globals(globals: &Node<'_>) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    for (section, properties) in globals.entries()? {
        match known(&format!("AWS::Serverless::{section}")) {
            Some(known) => names.extend(of_properties(&known, &properties)?),
            None => names.push(properties.path().to_owned()),
        }
    }
    Ok(names)
}

fn of_properties(known: &Known, properties: &Node<'_>) -> Result<Vec<String>, Error> {
    let matters =
        |name: &&str| !known.supported.contains(name) && !known.without_effect.contains(name);
    let entries = properties.entries()?;
    let names = entries.iter().filter(|(name, _)| matters(name));
    Ok(names.map(|(_, property)| property.path().to_owned()).collect())
}
