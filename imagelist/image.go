package imagelist

// decodeImage makes an Image of the fields of one hv:image. With a problem,
// only Identifier and SHA512 are to be used, where they are usable.
func decodeImage(f *fields, odd *oddities) (Image, *fieldError) {
	r := reader{fields: f, path: imagePath, odd: odd}
	m := Image{
		Identifier:  ImageID(r.identifier()),
		URI:         r.uri(),
		SHA512:      r.digest(),
		Size:        r.size(),
		Version:     r.version(),
		Expires:     r.dateIfAny(keyExpires),
		Title:       r.recommended(keyTitle),
		Description: r.recommended(keyDescription),
		Comments:    r.recommended(keyComments),
		OS:          r.recommended(keyOS),
		OSVersion:   r.recommended(keyOSVersion),
		Arch:        r.recommended(keyArch),
		Hypervisor:  r.recommended(keyHypervisor),
		Format:      r.optional(keyFormat),
		VO:          r.optional(keyVO),
		MPURI:       r.optional(keyMPURI),
	}
	return m, r.err
}
