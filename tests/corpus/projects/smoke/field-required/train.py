class ValidationError(ValueError):
    pass


raise ValidationError("1 validation error for Settings\ndata_url\n  Field required [type=missing, input_value={}]")
