# Who runs this.

def getuser():
    return _native['_login']()


def getpass(prompt='', stream=None):
    raise EOFError('there is nobody to ask while a configuration is read')
