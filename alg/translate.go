package alg

// differ reports whether one of client and server has IPv4 and the other IPv6,
// so that what they say of data connections must be translated (RFC 6384).
func (m *Machine) differ() bool { return m.cfg.Client.Is4() != m.cfg.Server.Is4() }
