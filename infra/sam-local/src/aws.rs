//! Identity of the AWS account that the stack emulates: region, account number, resource names.

/// Region of every resource.
pub(crate) const REGION: &str = "us-east-1";

/// Account number of every resource.
pub(crate) const ACCOUNT: &str = "000000000000";

/// Returns the Amazon Resource Name of a resource, as in `arn("kms", "key/Signing")`.
pub(crate) fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

/// Returns the ARN of the function with this logical id.
pub(crate) fn function_arn(function: &str) -> String {
    arn("lambda", &format!("function:{function}"))
}
