"""Many runs from one file: what they are, and where and how they are done."""
