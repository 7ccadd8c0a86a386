"""jaxmpc"""
