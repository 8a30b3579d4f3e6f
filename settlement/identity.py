"""Who is who, where a second person is needed."""


def is_same_person(one: str, other: str) -> bool:
    """Whether two identities are one person: the same name, or, in AWS, the same user or session under any role.

    In AWS an identity is an ARN, and its last part names the user or, with a role, the session. Who assumes a role may
    choose that name freely unless the role's trust policy binds it (sts:RoleSessionName), as IAM Identity Center does.
    """
    return _person(one) == _person(other)


def _person(identity: str) -> str:
    name = identity.strip().casefold()
    return name.rpartition("/")[2] if name.startswith("arn:") else name
