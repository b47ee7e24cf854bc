"""Every way to a person, played as whole calls: what asks for one, in what mode, what the person does, who hangs up."""
