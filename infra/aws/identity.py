"""Who runs a command in AWS."""

import boto3


def caller_identity() -> str:
    """The ARN of the user, or of the role and session, whose credentials these are, as AWS itself says."""
    return str(boto3.client("sts").get_caller_identity()["Arn"])
