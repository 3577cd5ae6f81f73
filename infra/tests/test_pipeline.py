"""Tests the scripts that the pipeline relies on: each of their checks refuses something.

    python3 -m unittest discover -s infra/tests     # cfn-lint and aws-sam-cli installed
"""

import pathlib
import subprocess
import sys
import tempfile
import unittest

INFRA = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(INFRA))

import check_packages  # noqa: E402
import check_role  # noqa: E402
import smoke_test  # noqa: E402
import stage_parameters  # noqa: E402

TEMPLATE = """
    Architectures: [arm64]
Resources:
  OneFunction:
    Type: AWS::Serverless::Function
"""
ARM64 = b"\x7fELF" + bytes(14) + bytes([0xB7, 0]) + bytes(8)


class Packages(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.bootstrap = self.directory / "build/OneFunction/bootstrap"
        self.bootstrap.parent.mkdir(parents=True)
        self.bootstrap.write_bytes(ARM64)
        self.bootstrap.chmod(0o755)

    def complaints(self, directory="build"):
        return list(check_packages.complaints(self.directory / directory, TEMPLATE))

    def test_a_package_that_can_be_run_passes(self):
        self.assertEqual(self.complaints(), [])

    def test_a_package_without_the_executable_bit_is_refused(self):
        self.bootstrap.chmod(0o644)
        self.assertEqual(self.complaints(), ["OneFunction: bootstrap is 0644, not executable"])

    def test_a_program_for_another_architecture_is_refused(self):
        self.bootstrap.write_bytes(ARM64.replace(b"\xb7", b"\x3e"))
        self.assertEqual(self.complaints(), ["OneFunction: bootstrap is no program for the template's architecture"])

    def test_a_function_without_a_package_is_refused(self):
        self.bootstrap.unlink()
        self.assertEqual(self.complaints(), ["OneFunction: no package"])

    def test_a_tar_keeps_the_executable_bit_up_to_sams_package(self):
        (self.directory / "there").mkdir()
        subprocess.run(["tar", "-cf", "build.tar", "build"], cwd=self.directory, check=True)
        subprocess.run(["tar", "-xf", "../build.tar"], cwd=self.directory / "there", check=True)
        self.assertEqual(self.complaints("there/build"), [])
        mode = check_packages.zipped_mode(self.directory / "there/build/OneFunction")
        if mode is None:
            self.skipTest("aws-sam-cli is not installed")
        self.assertEqual(oct(mode), "0o755")

    def test_sam_packages_the_bits_that_it_finds(self):
        self.bootstrap.chmod(0o644)
        mode = check_packages.zipped_mode(self.bootstrap.parent)
        if mode is None:
            self.skipTest("aws-sam-cli is not installed")
        self.assertEqual(oct(mode), "0o644")


class Parameters(unittest.TestCase):
    DECLARED = {
        "Stage": {"Type": "String", "AllowedPattern": "[a-z]+"},
        "Days": {"Type": "Number", "Default": 30, "AllowedValues": [1, 30]},
        "Limit": {"Type": "Number", "Default": -1, "MinValue": -1},
    }

    def complaints(self, **chosen):
        return list(stage_parameters.complaints(self.DECLARED, chosen))

    def test_values_that_cloudformation_takes_pass(self):
        self.assertEqual(self.complaints(Stage="dev", Days="30", Limit="-1"), [])

    def test_values_that_cloudformation_refuses_are_named(self):
        self.assertEqual(len(self.complaints(Stage="Dev", Days="31", Limit="-2", Other="1")), 4)
        self.assertEqual(self.complaints(), ["Stage: has no default and no value"])

    def test_what_the_environment_knows_is_added_to_what_the_file_has(self):
        environment = {"FUNCTION_BOUNDARY_ARN": "arn:boundary", "ALARM_TOPIC_ARN": ""}
        prod = stage_parameters.overrides("prod", environment)
        self.assertEqual(prod["PermissionsBoundaryArn"], "arn:boundary")
        self.assertEqual(prod["LogRetentionDays"], "90")
        self.assertNotIn("AlarmTopicArn", prod)

    def test_the_pipeline_takes_parameters_from_nowhere_else(self):
        texts = [(INFRA / "deploy_stage").read_text()]
        texts += [file.read_text() for file in (INFRA.parent / ".github/workflows").glob("*.yml")]
        used = [line.split("--parameter-overrides", 1)[1] for text in texts for line in text.splitlines() if "--parameter-overrides" in line]
        self.assertEqual(len(used), 1)
        self.assertIn("infra/stage_parameters.py", used[0])


class Role(unittest.TestCase):
    KNOWN = {"AWS::SQS::Queue": {"sqs:CreateQueue", "sqs:GetQueueUrl"}}

    def compare(self, *allowed, types=("AWS::SQS::Queue",)):
        return list(check_role.compare(types, self.KNOWN, set(allowed)))

    def test_a_permission_that_a_handler_needs_and_the_role_lacks_is_named(self):
        self.assertEqual(self.compare("sqs:CreateQueue"), ["missing: sqs:GetQueueUrl, for AWS::SQS::Queue"])

    def test_a_permission_that_nothing_asks_for_is_named(self):
        self.assertEqual(self.compare("sqs:CreateQueue", "sqs:GetQueueUrl", "sqs:PurgeQueue"), ["not needed: sqs:PurgeQueue"])

    def test_a_type_that_nobody_knows_is_named(self):
        self.assertEqual(self.compare(types=["AWS::New::Thing"]), ["AWS::New::Thing: no schema, and no line in WITHOUT_SCHEMA"])


    def protected(self, *statements):
        policy = {"PolicyDocument": {"Statement": list(statements)}}
        return list(check_role.unprotected({"Properties": {"Policies": [policy]}}))

    def test_a_role_that_can_switch_off_recovery_is_refused(self):
        allowed = {"Effect": "Allow", "Action": ["dynamodb:UpdateContinuousBackups"]}
        denied = {"Effect": "Deny", "Action": ["dynamodb:UpdateContinuousBackups"]}
        refused = "not protected: dynamodb:UpdateContinuousBackups, %s prod, MayChangeProtection=False"
        self.assertEqual(self.protected(allowed), [refused % "outside", refused % "in"])
        self.assertEqual(self.protected(allowed, denied), [])
        self.assertEqual(self.protected({"Fn::If": ["MayChangeProtection", allowed, denied]}), [])

    def test_a_role_that_can_delete_a_table_or_key_in_prod_is_refused(self):
        allowed = {"Effect": "Allow", "Action": ["dynamodb:DeleteTable", "kms:Schedule*"]}
        outside = {"Fn::If": ["MayDeleteTables", allowed, {"Ref": "AWS::NoValue"}]}
        self.assertEqual(len(self.protected(allowed)), 4)
        self.assertEqual(self.protected(outside), [])

    def test_the_role_protects_recovery_tables_and_keys(self):
        role = check_role.read(INFRA / "deploy_role.yaml")["Resources"]["CloudFormationRole"]
        self.assertEqual(list(check_role.unprotected(role)), [])


class SmokeTest(unittest.TestCase):
    def test_answers_are_held_against_status_and_word(self):
        refused = {"error": {"reason": "INVALID_CREDENTIALS"}}
        self.assertTrue(smoke_test.is_right(401, refused, 401, "INVALID_CREDENTIALS"))
        self.assertTrue(smoke_test.is_right(200, {"keys": []}, 200, "keys"))
        for status, body in [(500, refused), (401, {"message": "Unauthorized"}), (0, {})]:
            self.assertFalse(smoke_test.is_right(status, body, 401, "INVALID_CREDENTIALS"))


if __name__ == "__main__":
    unittest.main()
